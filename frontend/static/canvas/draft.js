// The draft is saved by itself a moment after a change; the answer says what is wrong and how each node reads. When somebody else
// (or another window) has saved meanwhile, nothing is overwritten before a person has chosen.
"use strict";
(() => {
  const { state, on, emit, say, widget } = sopCanvas;
  const PAUSE_MS = 700;
  const mark = document.querySelector("#saved");
  const banner = document.querySelector("#conflict");
  let revision = state.data.revision;
  let timer = 0;
  let running = false;
  let dirty = false;
  let held = false; // a conflict that waits for its answer

  const token = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  async function post(url, body, options = {}) {
    const answer = await fetch(url, { method: "POST", credentials: "same-origin", headers: { "X-CSRFToken": token(), "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(body), ...options });
    return { status: answer.status, body: await answer.json().catch(() => ({})) };
  }
  function tell(key, kind = "") {
    mark.textContent = say(key);
    mark.dataset.state = kind || key;
  }
  function later() {
    if (state.readonly || held) return;
    dirty = true;
    tell("unsaved");
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE_MS);
  }
  async function save(overwrite = false) {
    clearTimeout(timer);
    if (running || (held && !overwrite) || (!dirty && !overwrite)) return;
    running = true;
    dirty = false;
    tell("saving");
    try {
      const found = await post(state.data.urls.save, { graph: state.graph, revision: overwrite ? null : revision });
      if (found.status === 409) conflict(found.body.error);
      else if (found.status === 200) {
        revision = found.body.revision;
        banner.hidden = true;
        held = false;
        if (!dirty) tell("saved");
        take(found.body);
      } else fail(found.body.error?.message);
    } catch {
      fail();
    }
    running = false;
    if (dirty && !held) later();
  }
  function take(found) {
    state.problems = found.problems ?? [];
    state.warnings = found.warnings ?? [];
    state.summaries = found.summaries ?? {};
    state.sentences = found.sentences ?? {};
    emit("problems");
  }
  function fail(text) {
    dirty = true;
    tell("not_saved", "bad");
    if (text) mark.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(save, 5000);
  }
  function conflict(error = {}) {
    held = true;
    dirty = true;
    tell("conflict", "bad");
    banner.hidden = false;
    banner.querySelector("[data-conflict-text]").textContent = error.message ?? say("conflict");
    banner.querySelector("[data-conflict-acts]").replaceChildren(
      widget.button(say("take_theirs"), () => location.reload(), { className: "btn btn-sm btn-primary" }),
      widget.button(say("keep_mine"), () => save(true), { className: "btn btn-sm" }),
    );
  }

  on("change", later);
  window.addEventListener("beforeunload", (event) => {
    if (!dirty) return;
    if (!held && !running) fetch(state.data.urls.save, { method: "POST", keepalive: true, credentials: "same-origin", headers: { "X-CSRFToken": token(), "Content-Type": "application/json" }, body: JSON.stringify({ graph: state.graph, revision }) }).catch(() => {});
    else event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden && dirty) save(); });
  // what leads on from the draft (publish, try on a person) waits until it is saved
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-after-save]");
    if (!link || (!dirty && !running) || held) return;
    event.preventDefault();
    event.stopPropagation();
    await save();
    const wait = () => (dirty || running ? setTimeout(wait, 60) : link.click());
    if (!held) wait();
  }, true);

  Object.assign(sopCanvas, { save: () => save(), post, takeAnswer: take });
})();

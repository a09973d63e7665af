// Sensitive words at the text while it is written, in every form that speaks to customers: a text is a textarea with
// data-content-text in an element with data-content-scope or data-wording-scope, whose attachments are looked at with it.
// data-wording="warnings": refused words are said by the form itself.
"use strict";
(() => {
  const PAUSE_MS = 600;
  const url = () => document.querySelector("#attachment-words")?.dataset.wording;
  const timers = new WeakMap();
  const asked = new WeakMap();

  const scopeOf = (node) => node.closest?.("[data-content-scope], [data-wording-scope]");
  function placeOf(area) {
    const holder = area.parentElement;
    let place = holder.querySelector(":scope > [data-wording-place]");
    if (!place) {
      place = Object.assign(document.createElement("div"), { className: "wording" });
      place.dataset.wordingPlace = "";
      place.setAttribute("aria-live", "polite");
      const tools = holder.querySelector(":scope > .step-tools");
      (tools ?? area).after(place);
    }
    return place;
  }
  async function look(area) {
    if (!url() || !area.isConnected) return;
    const scope = scopeOf(area);
    const attached = scope?.querySelector("[data-attachments] input[type=hidden]")?.value || "[]";
    const key = `${area.value}\n${attached}`;
    if (asked.get(area) === key) return;
    asked.set(area, key);
    if (!area.value.trim() && attached === "[]") return placeOf(area).replaceChildren();
    const body = new URLSearchParams({ text: area.value, attachments: attached, only: area.dataset.wording ?? "" });
    try {
      const answer = await fetch(url(), { method: "POST", body, credentials: "same-origin", headers: { "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"] } });
      const found = answer.ok ? await answer.text() : "";
      if (asked.get(area) !== key) return; // somebody has written on
      const page = new DOMParser().parseFromString(found, "text/html");
      if (page.querySelector("[role=alert]")) forget(area);
      placeOf(area).replaceChildren(...page.body.children);
    } catch {
      asked.delete(area); // no answer: asked again with the next change; saving asks in any case
    }
  }
  // what the last try to save has said is said anew, or over
  function forget(area) {
    area.parentElement.querySelectorAll(":scope > [data-said-before]").forEach((said) => said.remove());
    area.classList.remove("is-invalid");
  }
  function later(area) {
    clearTimeout(timers.get(area));
    timers.set(area, setTimeout(() => look(area), PAUSE_MS));
  }
  const textsIn = (root) => root.querySelectorAll("[data-content-text]");

  document.addEventListener("input", (event) => { 
    if (!event.target.matches?.("[data-content-text]")) return;
    forget(event.target);
    later(event.target);
  });
  document.addEventListener("attachmentschange", (event) => { const scope = scopeOf(event.target); if (scope) textsIn(scope).forEach(later); });
  globalThis.wording = { look };
  const ready = () => textsIn(document).forEach((area) => { if (scopeOf(area)) look(area); });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready); else ready();
})();

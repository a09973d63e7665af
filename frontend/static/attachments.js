// Attachments of a message, edited in place (templates/components/attachments.html): the hidden field holds the list.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const words = () => $("#attachment-words").dataset;
  const files = JSON.parse($("#attachment-files")?.textContent || "{}");
  const icons = { image: "▣", link: "↗", miniprogram: "⧉", video: "▶", file: "≡" };

  const fieldOf = (box) => $("input[type=hidden]", box);
  function listOf(box) {
    try { return JSON.parse(fieldOf(box).value || "[]"); } catch { return []; }
  }
  function titleOf(item) {
    return item.title || files[item.file_id]?.name || words()[item.type] || item.type;
  }
  // only pictures are shown; the file of a mini-program, or of a link in a moment, is its cover
  function pictureOf(item) {
    return words().upload && ["image", "miniprogram", "link"].includes(item.type) && item.file_id ? `${words().upload}${item.file_id}/` : "";
  }
  function store(box, list) {
    fieldOf(box).value = JSON.stringify(list);
    draw(box);
    box.dispatchEvent(new CustomEvent("attachmentschange", { bubbles: true }));
  }
  function draw(box) {
    const list = listOf(box);
    $("[data-attachment-list]", box).replaceChildren(...list.map((item, i) => {
      const row = document.createElement("li");
      const name = document.createElement("button");
      name.type = "button";
      name.className = "attachment-name";
      name.textContent = `${icons[item.type] || ""} ${titleOf(item)}`;
      name.title = words().edit;
      const picture = pictureOf(item);
      if (picture) name.prepend(Object.assign(document.createElement("img"), { src: picture, alt: "", className: "attachment-thumb" }));
      name.addEventListener("click", () => open(box, item.type, i));
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "btn-icon btn-icon-sm";
      remove.textContent = "×";
      remove.setAttribute("aria-label", words().remove);
      remove.addEventListener("click", () => store(box, list.filter((_, n) => n !== i)));
      row.append(name, remove);
      return row;
    }));
  }

  let linking = null; // the box that a page or tracked link is chosen for
  function take({ card, cover, files: names }) {
    Object.assign(files, names);
    const form = $("#attachment-link").content;
    const limit = (name) => $(`[data-field="${name}"]`, form)?.maxLength ?? -1;
    const item = { type: "link" };
    for (const name of ["title", "url", "desc", "picurl"]) {
      if ($(`[data-field="${name}"]`, form)) item[name] = limit(name) > 0 ? card[name].slice(0, limit(name)) : card[name];
    }
    // a moment's link needs its cover as a file
    const needsFile = Boolean($("[data-file]", form));
    if (needsFile && cover) item.file_id = cover;
    if (needsFile && !cover) return open(linking, "link", null, item);
    return store(linking, [...listOf(linking), item]);
  }

  function open(box, type, index = null, begun = null) {
    const list = listOf(box);
    const form = $("[data-attachment-form]", box);
    if (index === null && list.length >= Number(words().most)) return say(form, words().full);
    form.replaceChildren($(`#attachment-${type}`).content.cloneNode(true), $("#attachment-actions").content.cloneNode(true));
    form.hidden = false;
    const item = begun ?? (index === null ? { type } : { ...list[index] });
    form.querySelectorAll("[data-field]").forEach((field) => { field.value = item[field.dataset.field] || ""; });
    $("[data-attachment-cancel]", form).addEventListener("click", () => { form.hidden = true; form.replaceChildren(); });
    $("[data-attachment-ok]", form).addEventListener("click", async () => {
      form.querySelectorAll("[data-field]").forEach((field) => { item[field.dataset.field] = field.value.trim(); });
      const chosen = $("[data-file]", form);
      if (chosen?.files.length) {
        say(form, words().busy);
        const kept = await upload(chosen.files[0], chosen.dataset.file);
        if (kept.error) return say(form, kept.error);
        files[kept.id] = { name: kept.name, kind: kept.kind };
        item.file_id = kept.id;
      } else if (chosen && !item.file_id) {
        return chosen.focus();
      }
      const missing = [...form.querySelectorAll("[data-field]")].find((f) => !f.value.trim() && f.closest("label").textContent.includes("*"));
      if (missing) return missing.focus();
      const next = listOf(box);
      if (index === null) next.push(item); else next[index] = item;
      form.hidden = true;
      form.replaceChildren();
      store(box, next);
    });
    form.querySelector("input")?.focus();
  }
  function say(form, text) {
    form.hidden = false;
    let place = $("[data-attachment-error]", form);
    if (!place) {
      place = document.createElement("div");
      place.className = "field-error";
      place.dataset.attachmentError = "";
      form.replaceChildren(place);
    }
    place.textContent = text;
  }
  async function upload(file, kind) {
    const body = new FormData();
    body.append("file", file);
    body.append("kind", kind);
    try {
      const answer = await fetch(words().upload, {
        method: "POST", body, credentials: "same-origin",
        headers: { "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"], Accept: "application/json" },
      });
      const found = await answer.json();
      return answer.ok ? found : { error: found.error?.message || words().failed };
    } catch {
      return { error: words().failed };
    }
  }

  function ready(root = document) {
    root.querySelectorAll("[data-attachments]").forEach((box) => {
      if (!words().upload) box.querySelectorAll('[data-attach]:not([data-attach="link"])').forEach((b) => b.remove());
      draw(box);
    });
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-attach]");
    if (button) open(button.closest("[data-attachments]"), button.dataset.attach);
    const tracked = event.target.closest("[data-attach-tracked]");
    if (tracked) {
      linking = tracked.closest("[data-attachments]");
      if (listOf(linking).length >= Number(words().most)) return say($("[data-attachment-form]", linking), words().full);
      htmx.ajax("GET", words().links, { target: "#modal-content", source: document.body });
    }
    const picked = event.target.closest("[data-link-pick]");
    if (picked && linking) {
      document.dispatchEvent(new Event("closeModal"));
      take(JSON.parse(picked.dataset.linkPick));
      $("[data-attach-tracked]", linking)?.focus();
    }
    return undefined;
  });
  // Enter in the small form must not send the big one
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.closest?.("[data-attachment-form]") && event.target.matches("input")) {
      event.preventDefault();
      $("[data-attachment-ok]", event.target.closest("[data-attachment-form]")).click();
    }
  });
  // a whole list from elsewhere (content-picker.js), with the names of its files
  function put(box, list, names = {}) {
    Object.assign(files, names);
    store(box, list);
  }
  // what the phone beside an editor shows: words, or an attachment with its picture
  function bubble(text, kind = "") {
    return Object.assign(document.createElement("div"), { className: `bubble ${kind}`, textContent: text });
  }
  function bubbleOf(item) {
    const element = bubble(titleOf(item), `attached ${item.type}`);
    const picture = pictureOf(item);
    if (picture) element.replaceChildren(Object.assign(document.createElement("img"), { src: picture, alt: titleOf(item) }));
    if (picture && item.type === "miniprogram") element.prepend(titleOf(item));
    return element;
  }
  globalThis.attachments = { ready, listOf, titleOf, pictureOf, put, bubble, bubbleOf };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => ready()); else ready();
})();

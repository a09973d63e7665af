// 'From the library' in other forms (templates/components/content_picker.html).
"use strict";
(() => {
  const $ = (selector, root) => root.querySelector(selector);
  let asking = null; // the box for which the modal is open
  let filling = false; // what we write ourselves does not count as a change

  function partsOf(box) {
    const scope = box.closest("[data-content-scope]");
    return scope ? { text: $("[data-content-text]", scope), attachments: $("[data-attachments]", scope) } : {};
  }
  function show(box, name, version) {
    $("[data-content-version]", box).value = version;
    $("[data-content-name]", box).textContent = name;
    $("[data-content-picked]", box).hidden = !version;
  }
  function choose(box, picked) {
    const { text, attachments } = partsOf(box);
    filling = true;
    if (text) {
      text.value = picked.text;
      text.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (attachments) globalThis.attachments.put(attachments, picked.attachments, picked.files);
    filling = false;
    show(box, picked.name, picked.version_id);
    box.dispatchEvent(new CustomEvent("contentpicked", { bubbles: true, detail: picked }));
  }
  function clear(box) {
    if (!$("[data-content-version]", box).value) return;
    show(box, "", "");
    box.dispatchEvent(new CustomEvent("contentcleared", { bubbles: true }));
  }
  document.addEventListener("click", (event) => {
    const open = event.target.closest("[data-content-open]");
    if (open) {
      asking = open.closest("[data-content-picker]");
      htmx.ajax("GET", open.dataset.contentOpen, { target: "#modal-content", source: document.body });
    }
    const row = event.target.closest("[data-content-pick]");
    if (row && asking) {
      choose(asking, JSON.parse(row.dataset.contentPick));
      document.dispatchEvent(new Event("closeModal"));
      $("[data-content-open]", asking).focus();
    }
    const off = event.target.closest("[data-content-clear]");
    if (off) clear(off.closest("[data-content-picker]"));
  });
  function changed(event) {
    if (filling) return;
    const scope = event.target.closest?.("[data-content-scope]");
    const box = scope && $("[data-content-picker]", scope);
    if (box && (event.type === "attachmentschange" || event.target.matches("[data-content-text]"))) clear(box);
  }
  document.addEventListener("input", changed);
  document.addEventListener("attachmentschange", changed);
})();

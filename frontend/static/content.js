// The content library: files dropped onto it, and acts on many items.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const token = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

  // ---- upload by drag
  const zone = $("[data-dropzone]");
  async function send(files) {
    if (!files.length) return;
    const body = new FormData();
    for (const file of files) body.append("files", file);
    body.append("folder", zone.dataset.folder);
    const words = $("[data-drop-words]", zone);
    const before = words.textContent;
    words.textContent = zone.dataset.busy;
    zone.classList.add("busy");
    let found;
    try {
      const answer = await fetch(zone.dataset.dropzone, { method: "POST", body, credentials: "same-origin", headers: { "X-CSRFToken": token(), Accept: "application/json" } });
      found = await answer.json();
    } catch {
      found = { error: { message: zone.dataset.failed } };
    }
    zone.classList.remove("busy");
    words.textContent = before;
    const problems = found.error ? [found.error.message] : found.bad.map((bad) => `${bad.name}: ${bad.reason}`);
    $("[data-drop-problems]", zone).replaceChildren(...problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    if (found.made && !problems.length) location.reload();
    else if (found.made) setTimeout(() => location.reload(), 4000);
  }
  if (zone) {
    $("input[type=file]", zone).addEventListener("change", (event) => { send(event.target.files); event.target.value = ""; });
    let depth = 0; // dragenter and dragleave come for every child
    addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { depth += 1; zone.classList.add("over"); } });
    addEventListener("dragleave", () => { depth = Math.max(0, depth - 1); if (!depth) zone.classList.remove("over"); });
    addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
    addEventListener("drop", (event) => {
      depth = 0;
      zone.classList.remove("over");
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      send(event.dataTransfer.files);
    });
  }

  // ---- many at once
  document.addEventListener("change", (event) => {
    const form = event.target.closest("[data-many]");
    const bar = form && $("[data-many-bar]", form);
    if (!bar) return;
    const n = form.querySelectorAll("input[name=ids]:checked").length;
    bar.hidden = !n;
    const figure = $("[data-many-n]", bar);
    if (figure) figure.textContent = n;
  });

  // ---- lines put into a text area, those that are not there yet
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-add-lines]");
    const area = button && $(button.dataset.addLines);
    if (!area) return;
    const there = area.value.split("\n").map((line) => line.trim()).filter(Boolean);
    area.value = [...new Set([...there, ...button.dataset.lines.split("\n").filter(Boolean)])].join("\n");
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.focus();
  });
})();

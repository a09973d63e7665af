// templates/components/checklist.html: search among boxes to tick, and how many are ticked.
"use strict";
(() => {
  function ready(box) {
    const search = box.querySelector("[data-checklist-search]");
    if (!search || box.dataset.ready) return;
    box.dataset.ready = "1";
    const count = box.querySelector("[data-checklist-n]");
    const clear = box.querySelector("[data-checklist-clear]");
    const rows = [...box.querySelectorAll(".checklist-rows > *")];
    const tell = () => {
      const n = box.querySelectorAll("input[type=checkbox]:checked").length;
      count.textContent = n ? count.dataset.words.replace("{n}", n) : "";
      clear.hidden = !n;
    };
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      let head = null, inGroup = false, shown = 0;
      const close = () => { if (head) head.hidden = shown === 0; };
      for (const row of rows) {
        if (row.classList.contains("checklist-group")) {
          close();
          head = row;
          shown = 0;
          inGroup = row.textContent.toLowerCase().includes(wanted);
        } else {
          row.hidden = !(inGroup || row.textContent.toLowerCase().includes(wanted));
          if (!row.hidden) shown += 1;
        }
      }
      close();
    });
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    clear.addEventListener("click", () => {
      box.querySelectorAll("input[type=checkbox]:checked").forEach((one) => { one.checked = false; });
      tell();
      box.dispatchEvent(new Event("change", { bubbles: true }));
    });
    box.addEventListener("change", tell);
    tell();
  }
  const all = () => document.querySelectorAll("[data-checklist]").forEach(ready);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all); else all();
  document.addEventListener("htmx:afterSettle", all); // those that come later, in a modal for example
})();

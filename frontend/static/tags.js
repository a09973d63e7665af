// The tag library: tags, groups and rules are put in order by dragging their handle or with the arrow keys on it.
"use strict";
(() => {
  const boxes = { tag: "[data-sort-tags]", group: "[data-sort-groups]", rule: "[data-sort-rules]" };
  const rowsOf = { tag: "li[data-id]", group: "article[data-id]", rule: "li[data-id]" };
  const list = (handle) => handle.closest(boxes[handle.dataset.handle]);
  const item = (handle) => handle.closest(rowsOf[handle.dataset.handle]);
  const items = (box) => [...box.children].filter((child) => child.dataset.id);
  const ids = (box) => items(box).map((child) => child.dataset.id);

  function say(row, box) {
    const voice = document.getElementById("tags-said");
    const rows = items(box);
    voice.textContent = voice.dataset.moved.replace("[name]", row.dataset.name).replace("[n]", rows.indexOf(row) + 1).replace("[all]", rows.length);
  }

  let timer = null;
  function save(box, row) {
    const isTags = box.hasAttribute("data-sort-tags");
    say(row, box);
    clearTimeout(timer);
    // several presses of a key are one change
    timer = setTimeout(() => {
      const focus = document.activeElement?.closest("[data-id]")?.dataset.id;
      const target = isTags ? box.closest("article") : null;
      htmx.ajax("POST", box.dataset.url, { source: document.body, target: target || "#modal-content", swap: isTags ? "innerHTML" : "none", values: isTags ? { group: box.dataset.sortTags, ids: ids(box) } : { ids: ids(box) } })
        .then(() => { if (focus && target) target.querySelector(`[data-id="${focus}"] [data-handle]`)?.focus(); });
    }, 450);
  }

  document.addEventListener("keydown", (event) => {
    const handle = event.target.closest?.("[data-handle]");
    if (!handle || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const row = item(handle);
    const box = list(handle);
    if (event.key === "ArrowUp" && row.previousElementSibling?.dataset.id) row.previousElementSibling.before(row);
    else if (event.key === "ArrowDown" && row.nextElementSibling?.dataset.id) row.nextElementSibling.after(row);
    else return;
    handle.focus();
    save(box, row);
  });

  // pointer events serve mouse, pen and finger alike
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest?.("[data-handle]");
    if (!handle || event.button) return;
    drag = { handle, row: item(handle), from: list(handle), kind: handle.dataset.handle, moved: false, x: event.clientX, y: event.clientY };
    handle.setPointerCapture(event.pointerId);
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < 5) return;
    drag.moved = true;
    drag.row.classList.add("dragging");
    clear();
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const over = under?.closest(rowsOf[drag.kind]);
    const box = over?.parentElement;
    drag.over = null;
    if (!over || over === drag.row || !allowed(box)) return;
    const half = over.getBoundingClientRect();
    drag.before = event.clientY < half.top + half.height / 2;
    drag.over = over;
    over.classList.add(drag.before ? "drop-before" : "drop-after");
  });
  // corp tags stay in their group; own tags may go to another own group
  function allowed(box) {
    return box === drag.from || (drag.kind === "tag" && !box.hasAttribute("data-fixed") && !drag.from.hasAttribute("data-fixed") && box.hasAttribute("data-sort-tags"));
  }
  function clear() {
    document.querySelectorAll(".drop-before, .drop-after").forEach((row) => row.classList.remove("drop-before", "drop-after"));
  }
  function end(event) {
    if (!drag) return;
    const { row, over, before, from } = drag;
    drag.row.classList.remove("dragging");
    clear();
    const done = drag.moved && over && event.type === "pointerup";
    drag = null;
    if (!done) return;
    const box = over.parentElement;
    if (before) over.before(row); else over.after(row);
    save(box, row);
    if (box !== from && !items(from).length) location.reload();
  }
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", end);
})();

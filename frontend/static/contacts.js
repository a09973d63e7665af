// The bar of the contact list: how many rows are ticked, everybody or not, and the words of the modal that asks what to do with them.
// A field finds tags among many by name; what is ticked stays in sight. With Shift a click ticks all rows from the one before. Whoever loads more by keys goes on at the first new row.
(() => {
  "use strict";
  const boxes = (checked = "") => [...document.querySelectorAll(`#list input[name="ids"]${checked}`)];
  const everybody = () => document.getElementById("everybody");
  function show() {
    const bar = document.getElementById("bulk-bar");
    if (!bar) return;
    const n = boxes(":checked").length;
    bar.hidden = !n && !everybody().checked;
    const words = bar.querySelector("b");
    words.textContent = everybody().checked ? words.dataset.bulkAll : words.dataset.bulkWords.replace("%(n)s", n.toLocaleString("en"));
    bar.querySelectorAll(".bulk-acts button[hx-get]").forEach((b) => { b.disabled = !n && !everybody().checked; });
  }
  document.addEventListener("change", (event) => {
    if (event.target.name === "ids" || event.target.id === "everybody" || event.target.dataset.checkAll) show();
  });
  document.addEventListener("input", (event) => {
    if (!("tagSearch" in event.target.dataset)) return;
    const text = event.target.value.trim().toLowerCase();
    event.target.closest("form").querySelectorAll(".check-group").forEach((group) => {
      const tags = [...group.querySelectorAll(".tag-choice label")];
      tags.forEach((tag) => { tag.hidden = !tag.textContent.toLowerCase().includes(text) && !tag.querySelector("input").checked; });
      group.hidden = tags.every((tag) => tag.hidden);
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && "tagSearch" in (event.target.dataset ?? {})) event.preventDefault(); // never the form
  });
  let before = null; // the row that was ticked or unticked last
  document.addEventListener("click", (event) => {
    if (event.target.name !== "ids" || !event.target.closest("#list")) return;
    const all = boxes();
    if (event.shiftKey && all.includes(before)) {
      const [from, to] = [all.indexOf(before), all.indexOf(event.target)].sort((a, b) => a - b);
      all.slice(from, to + 1).forEach((box) => { box.checked = event.target.checked; });
    }
    before = event.target;
  });
  let last = null; // the row before the button that loads more
  document.addEventListener("htmx:beforeSwap", (event) => {
    const more = event.detail.target;
    last = more.matches("#list .more-row") && more.contains(document.activeElement) ? more.previousElementSibling : null;
  });
  document.addEventListener("htmx:afterSettle", () => {
    last?.nextElementSibling?.querySelector("a")?.focus();
    last = null;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-bulk-clear]")) return;
    boxes(":checked").forEach((box) => { box.checked = false; });
    document.querySelectorAll("[data-check-all]").forEach((box) => { box.checked = false; });
    everybody().checked = false;
    show();
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "list") show();
    const words = document.querySelector("#modal-content [data-bulk-words]");
    if (!words || !everybody()) return;
    const label = everybody().closest("label").textContent.trim();
    const count = document.querySelector(".list-count")?.textContent.trim() || "";
    words.textContent = everybody().checked ? `${label} · ${count}` : document.querySelector("#bulk-bar > b").textContent.trim();
  });
})();

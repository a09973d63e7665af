// The bar of the contact list: how many rows are ticked, everybody or not, and the words of the modal that asks what to do with them.
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

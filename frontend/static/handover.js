// The form of a hand-over: receivers are taken from what the search has found, or all of the same store.
(() => {
  const form = document.querySelector("[data-handover]");
  if (!form) return;
  const rows = form.querySelector("[data-receivers]");
  const changed = () => form.dispatchEvent(new Event("change", { bubbles: true }));
  const take = (fragment) => {
    for (const row of [...fragment.querySelectorAll("[data-receiver]")]) {
      if (!rows.querySelector(`[data-receiver="${row.dataset.receiver}"]`)) rows.append(row);
    }
    changed();
  };
  form.addEventListener("click", (event) => {
    const option = event.target.closest("[data-add-receiver]");
    if (option) {
      take(option.querySelector("template").content.cloneNode(true));
      option.remove();
      return;
    }
    if (event.target.closest("[data-add-store]")) take(form.querySelector("template[data-store-guides]").content.cloneNode(true));
    const gone = event.target.closest("[data-remove-receiver]");
    if (gone) { gone.closest("[data-receiver]").remove(); changed(); }
  });
  // Enter in the search takes the first one found and sends nothing
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.type !== "search") return;
    event.preventDefault();
    form.querySelector("[data-add-receiver]")?.click();
  });
})();

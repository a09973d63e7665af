// Give numbers out: a store's box ticks all of its guides, and shows whether they are ticked.
(() => {
  "use strict";
  const form = document.getElementById("give-form");
  if (!form) return;
  const boxes = (store) => [...store.closest("fieldset").querySelectorAll("[name=guides]")];
  function show() {
    for (const store of form.querySelectorAll("[data-store-all]")) {
      const all = boxes(store);
      const n = all.filter((box) => box.checked).length;
      store.checked = n === all.length;
      store.indeterminate = n > 0 && n < all.length;
    }
  }
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-store-all]")) boxes(event.target).forEach((box) => { box.checked = event.target.checked; });
    show();
  });
  show();
})();

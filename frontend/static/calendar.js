// The calendar: moves within the page, keys, and the address that follows.
"use strict";
(() => {
  const form = document.getElementById("cal-form");
  const home = document.getElementById("calendar");
  const days = () => [...home.querySelectorAll("[data-on]")].filter((day) => day.offsetParent !== null);
  let focusNext = null;

  function move(link) {
    const to = new URL(link.href, location.href);
    for (const name of ["view", "on"]) if (to.searchParams.get(name)) form.elements[name].value = to.searchParams.get(name);
    htmx.trigger(form, "submit");
  }
  home.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-cal]");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    move(link);
  });
  const press = (name) => { const link = home.querySelector(`[data-cal=${name}]`); if (link) move(link); };
  function step(n) {
    const all = days();
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? Math.max(0, all.findIndex((day) => day.closest(".is-today"))) : at + n];
    if (next) return next.focus();
    focusNext = n > 0 ? "first" : "last";
    return press(n > 0 ? "after" : "before");
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, .offcanvas, .modal")) return;
    const wide = getComputedStyle(home.querySelector(".cal")).gridTemplateColumns.split(" ").length > 1;
    const act = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => step(wide ? -7 : -1), ArrowDown: () => step(wide ? 7 : 1),
      PageUp: () => press("before"), PageDown: () => press("after"), t: () => press("today"), m: () => press("month"), w: () => press("week"),
    }[event.key];
    if (!act) return;
    // arrows and pages scroll the page as long as no day is chosen
    if (event.key.startsWith("Arrow") && !home.contains(document.activeElement)) return;
    event.preventDefault();
    act();
  });
  home.addEventListener("htmx:afterSwap", () => {
    if (focusNext) { const all = days(); (focusNext === "first" ? all[0] : all[all.length - 1])?.focus(); }
    focusNext = null;
  });
})();

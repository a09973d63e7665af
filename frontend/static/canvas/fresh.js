// The page of a running SOP asks for its figures anew every half minute, while somebody looks at it.
"use strict";
(() => {
  const place = document.querySelector("#sop-fresh");
  if (!place) return;
  const EVERY_MS = 30_000;
  const { state } = sopCanvas;
  let asked = Date.now();

  function ask() {
    if (document.hidden || Date.now() - asked < EVERY_MS) return;
    asked = Date.now();
    htmx.trigger(place, "refresh");
  }
  setInterval(ask, 1000); // whoever comes back to the page after a while sees it at once
  document.addEventListener("visibilitychange", ask);
  place.addEventListener("htmx:afterSettle", () => {
    const found = document.querySelector("#canvas-fresh");
    if (!found) return;
    Object.assign(state, JSON.parse(found.textContent));
    sopCanvas.draw();
    sopCanvas.emit("numbers"); // the list
  });
})();

// How much of a text still fits (templates/components/room.html): WeCom counts bytes of UTF-8, people think in characters.
"use strict";
(() => {
  const bytes = new TextEncoder();
  const CHINESE = 3; // bytes of one character
  window.room = (element, text) => {
    const { most, left, over, used } = element.dataset;
    const size = bytes.encode(text).length;
    const rest = Number(most) - size;
    const n = rest < 0 ? Math.ceil(-rest / CHINESE) : Math.floor(rest / CHINESE);
    element.textContent = (rest < 0 ? over : left).replace("{n}", n.toLocaleString("en"));
    element.title = used.replace("{n}", size.toLocaleString("en"));
    element.classList.toggle("text-danger", rest < 0);
  };
})();

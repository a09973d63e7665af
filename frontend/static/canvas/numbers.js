// Figures on the cards of a running SOP: in, waiting, out, touched, held back.
"use strict";
(() => {
  const { state, on, element, say } = sopCanvas;
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const short = (n) => (n >= 100_000 ? new Intl.NumberFormat(document.documentElement.lang, { notation: "compact", maximumFractionDigits: 1 }).format(n) : number.format(n));
  const shown = [["in", ""], ["waiting", "info"], ["out", ""], ["touched", "ok"], ["blocked", "warn"]];
  const nothing = { in: 0, waiting: 0, out: 0, touched: 0, blocked: 0 };

  on("card", ({ node, card }) => {
    if (!state.numbers) return;
    const found = { ...nothing, ...state.numbers[node.id] };
    const speaks = ["touch", "group", "moments", "task"].includes(node.kind);
    const box = card.querySelector(".node-numbers") ?? card.firstElementChild.appendChild(element("span", { className: "node-numbers" }));
    box.replaceChildren(...shown.filter(([name]) => speaks || !["touched", "blocked"].includes(name)).map(([name, tone]) => element("span", { className: `node-number${tone && found[name] ? ` tone-text-${tone}` : ""}` }, element("b", { textContent: short(found[name] ?? 0) }), element("i", { textContent: say(`n_${name}`) }))));
  });
  sopCanvas.numberWords = (id) => {
    const found = { ...nothing, ...state.numbers?.[id] };
    return `${say("n_in")} ${number.format(found.in)} · ${say("n_waiting")} ${number.format(found.waiting)}`;
  };
})();

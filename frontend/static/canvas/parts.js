// Parameters that are lists: cases of a branch, shares of a split, goals and exits.
"use strict";
(() => {
  const { state, element, say, widgets, widget } = sopCanvas;
  const MOST = 10;

  const freshKey = (parts) => [..."abcdefghijklmnopqrstuvwxyz"].find((key) => !parts.some((part) => part.key === key));
  // rows with a way to take each out and to add one; `row(part, i, put)` draws the fields of one
  function list(param, value, set, { row, fresh, least = 0, label }) {
    const box = element("div", { className: "canvas-parts" });
    let parts = structuredClone(value ?? []);
    const put = (next, again = false) => {
      parts = next;
      set(structuredClone(parts), again);
      if (!again) return;
      draw();
    };
    function draw() {
      const rows = parts.map((part, i) => {
        const change = (given, again = false) => put(parts.map((other, n) => (n === i ? { ...other, ...given } : other)), again);
        const out = widget.button("×", () => put(parts.filter((_, n) => n !== i), true), { className: "btn-icon btn-icon-sm", ariaLabel: say("remove"), disabled: parts.length <= least });
        const one = element("div", { className: "canvas-part" }, ...row(part, i, change));
        one.append(out);
        return one;
      });
      const more = widget.button(`+ ${label}`, () => put([...parts, fresh(parts)], true), { className: "btn btn-sm", disabled: parts.length >= MOST });
      box.replaceChildren(...rows, more);
    }
    draw();
    return box;
  }
  const titleOf = (part, change, label) => widget.input("text", part.title, (title) => change({ title }), { placeholder: label, ariaLabel: label, maxLength: 40 });
  const within = (name, made) => element("div", { className: "canvas-sub", data: { param: name } }, made, element("div", { className: "field-error", hidden: true }));

  widgets.cases = (param, value, set) => list(param, value, set, {
    label: say("case"), fresh: (parts) => ({ key: freshKey(parts), title: "", condition: null }),
    row: (part, i, change) => [titleOf(part, change, `${say("case")} ${i + 1}`), within(`${param.name}.${i}.condition`, widgets.condition(param, part.condition, (condition) => change({ condition })))],
  });
  widgets.shares = (param, value, set) => list(param, value, set, {
    label: say("share"), least: 2,
    fresh(parts) {
      const rest = 100 - parts.reduce((sum, part) => sum + (part.percent ?? 0), 0);
      return { key: freshKey(parts), title: "", percent: Math.max(rest, 1) };
    },
    row: (part, i, change) => [
      titleOf(part, change, (part.key ?? "").toUpperCase()),
      element("span", { className: "canvas-percent" }, widget.input("number", part.percent, (percent) => change({ percent }), { min: 1, max: 99, step: 1, ariaLabel: say("percent") }), "%"),
    ],
  });
  // a goal or an exit: something that happens, or a condition that holds
  widgets.events = (param, value, set) => list(param, value, set, {
    label: param.label, fresh: () => ({ event: state.data.events[0]?.kind }),
    row(part, i, change) {
      const which = part.condition === undefined ? "event" : "condition";
      const kind = widget.select([["event", say("happens")], ["condition", say("holds")]], which, (next) => change(next === "event" ? { event: state.data.events[0]?.kind, filters: undefined, condition: undefined } : { event: undefined, filters: undefined, condition: null }, true), { ariaLabel: param.label });
      if (which === "condition") return [kind, within(`${param.name}.${i}.condition`, widgets.condition(param, part.condition, (condition) => change({ condition })))];
      return [kind, within(`${param.name}.${i}.event`, widgets.event(param, part.event, (event) => change({ event, filters: undefined }, true))), within(`${param.name}.${i}.filters`, widgets.filters(param, part.filters, (filters) => change({ filters }), part))];
    },
  });
})();

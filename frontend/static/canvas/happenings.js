// What happens: an event of the table that rules use too, and its filters.
"use strict";
(() => {
  const { state, element, widgets, widget } = sopCanvas;
  const events = Object.fromEntries(state.data.events.map((event) => [event.kind, event]));

  widgets.event = (param, value, set) => {
    const made = element("select", { className: "form-select form-select-sm" });
    const groups = {};
    if (!events[value]) made.append(element("option", { value: "", textContent: sopCanvas.say("choose"), selected: true }));
    for (const event of state.data.events) {
      groups[event.group] ??= made.appendChild(element("optgroup", { label: event.group }));
      groups[event.group].append(element("option", { value: event.kind, textContent: event.label, selected: event.kind === value }));
    }
    made.addEventListener("change", () => set(made.value || null, true));
    return made;
  };

  const split = (text) => text.split(/[,，、\n]/).map((part) => part.trim()).filter(Boolean);
  const kinds = {
    ids: (filter, value, put) => (filter.source ? widgets[filter.source === "tags" ? "tags" : "any"]({ source: filter.source }, value, put) : widget.input("text", (value ?? []).join(", "), (text) => put(split(text).map(Number).filter(Number.isFinite)))),
    words: (filter, value, put) => widget.input("text", (value ?? []).join(", "), (text) => put(split(text))),
    money: (filter, value, put) => widget.input("number", value == null ? "" : value / 100, (yuan) => put(yuan == null ? null : Math.round(yuan * 100)), { min: 0, step: 0.01 }),
    answers: (filter, value, put) => {
      const area = element("textarea", { className: "form-control form-control-sm", rows: 2, value: (value ?? []).map((row) => `${row.question}: ${row.answer}`).join("\n") });
      area.addEventListener("input", () => put(area.value.split("\n").map((line) => line.split(/[:：]/)).filter((row) => row.length > 1).map(([question, ...rest]) => ({ question: question.trim(), answer: rest.join(":").trim() }))));
      return area;
    },
  };
  widgets.filters = (param, value, set, holder) => {
    const box = element("div", { className: "canvas-filters" });
    let given = { ...value };
    for (const name of events[holder.event]?.filters ?? []) {
      const event = events[holder.event];
      const filter = name === "object_ids" && event.objects ? { ...state.data.filters[name], source: event.objects, label: event.objects_label } : state.data.filters[name];
      const put = (next) => {
        given = { ...given, [name]: next };
        if (next == null || next.length === 0) delete given[name];
        set(Object.keys(given).length ? given : null);
      };
      const made = kinds[filter.kind](filter, given[name], put);
      const control = made.matches("input, textarea") ? made : made.querySelector("input");
      control.id ||= widget.freshId();
      const label = element("label", { className: "small muted", htmlFor: control.id, textContent: filter.label });
      const row = element("details", { className: "canvas-filter", open: given[name] !== undefined }, element("summary", {}, label), made);
      box.append(row);
    }
    return box;
  };
})();

// Fields of a form, one maker for each way a parameter is written: widget(param, value, set) → element. Others add theirs.
"use strict";
(() => {
  const { state, element, say } = sopCanvas;
  let n = 0;
  const freshId = () => `canvas-field-${n += 1}`;

  function input(type, value, set, options = {}) {
    const made = element("input", { type, className: "form-control form-control-sm", value: value ?? "", ...options });
    made.addEventListener("input", () => set(type === "number" ? (made.value === "" ? null : Number(made.value)) : made.value));
    return made;
  }
  function select(choices, value, set, options = {}) {
    const made = element("select", { className: "form-select form-select-sm", ...options });
    const known = choices.some(([key]) => String(key) === String(value ?? ""));
    if (!known) made.append(element("option", { value: "", textContent: value ? String(value) : say("choose"), selected: true }));
    made.append(...choices.map(([key, label]) => element("option", { value: key, textContent: label, selected: String(key) === String(value ?? "") })));
    made.addEventListener("change", () => set(choices.find(([key]) => String(key) === made.value)?.[0] ?? null, true));
    return made;
  }
  function button(label, act, options = {}) {
    const made = element("button", { type: "button", className: "btn btn-sm", textContent: label, ...options });
    made.addEventListener("click", act);
    return made;
  }
  function weekdays(param, value, set) {
    const chosen = new Set(value ?? []);
    const box = element("div", { className: "canvas-days" });
    box.setAttribute("role", "group");
    box.append(...state.data.weekdays.map(([day, label]) => {
      const one = element("button", { type: "button", className: "canvas-day", textContent: label });
      one.setAttribute("aria-pressed", String(chosen.has(day)));
      one.addEventListener("click", () => {
        if (!chosen.delete(day)) chosen.add(day);
        one.setAttribute("aria-pressed", String(chosen.has(day)));
        set([...chosen].sort((a, b) => a - b));
      });
      return one;
    }));
    return box;
  }
  function bool(param, value, set) {
    const tick = element("input", { type: "checkbox", className: "form-check-input", checked: Boolean(value) });
    tick.addEventListener("change", () => set(tick.checked, true));
    return tick;
  }
  function long(param, value, set) {
    const area = element("textarea", { className: "form-control form-control-sm", rows: 3, value: value ?? "", maxLength: param.most > 1 ? param.most : -1 });
    area.addEventListener("input", () => set(area.value));
    return area;
  }

  const widgets = {
    text: (param, value, set) => input("text", value, set, { maxLength: param.most }),
    url: (param, value, set) => input("url", value, set, { placeholder: "https://" }),
    int: (param, value, set) => input("number", value, set, { min: param.least, max: param.most, step: 1 }),
    time: (param, value, set) => input("time", value, set),
    date: (param, value, set) => input("date", value, set),
    choice: (param, value, set) => select(param.choices, value, set),
    bool, long, weekdays,
  };

  // a labelled field with its help and a place for what is wrong
  function field(param, value, set, holder) {
    const make = widgets[param.of];
    if (!make) throw new Error(`no widget for ${param.of}`);
    const made = make(param, value, set, holder);
    const box = element("div", { className: "field", data: { param: param.name } });
    const label = element("label", { className: "form-label", textContent: param.label });
    if (param.needed) label.append(element("span", { className: "required", textContent: "*", ariaHidden: "true" }));
    const control = made.matches("input, select, textarea") ? made : made.querySelector("input:not([type=hidden]), select, textarea");
    if (control) {
      control.id ||= freshId();
      label.htmlFor = control.id;
    }
    if (param.of === "bool") {
      label.className = "form-check-label";
      box.append(element("div", { className: "form-check" }, made, label));
    } else box.append(label, made);
    if (param.help) box.append(element("div", { className: "form-hint", textContent: param.help }));
    box.append(element("div", { className: "field-error", hidden: true }));
    return box;
  }

  Object.assign(sopCanvas, { widgets, widget: { input, select, button, field, freshId } });
})();

// The form of a node and of the whole: made from the table of kinds, beside the canvas and inside the list. What is typed is in
// the graph at once; problems that the server finds are said at their field.
"use strict";
(() => {
  const { graph: g, state, on, change, element, say, widget } = sopCanvas;

  // fields of `params` for `holder` (a node, or the settings); `find` gets the holder anew from the graph, which undo replaces
  function fieldsOf(params, find, key, redraw) {
    const holder = find(state.graph);
    const spec = { params };
    const ofLibrary = (param) => holder.content_id && ["message", "attachments"].includes(param.of);
    return params.filter((param) => g.holds(spec, holder, param.when) && !ofLibrary(param)).map((param) => {
      const set = (value, again = false) => {
        change((graph) => {
          const target = find(graph);
          if (value === null || value === undefined) delete target[param.name]; else target[param.name] = value;
          if (param.of === "event") delete target.filters;
          if (param.of === "field") delete target.value;
          if (target.kind) g.prune(graph, state.kinds, target);
        }, `${key}:${param.name}`);
        if (again) redraw(param.name);
      };
      return widget.field(param, g.valueOf(spec, holder, param.name), set, holder);
    });
  }

  function nodeForm(id) {
    const form = element("div", { className: "node-form", data: { form: id, wordingScope: "" } });
    const redraw = (focus) => {
      const node = g.nodeOf(state.graph, id);
      if (!node) return form.replaceChildren();
      const spec = sopCanvas.specOf(node);
      const find = (graph) => g.nodeOf(graph, id);
      const title = { name: "title", of: "text", label: say("title"), most: 40, help: "" };
      form.replaceChildren(
        ...(spec.slot ? [element("div", { className: "notice", textContent: say("slot") })] : []),
        ...fieldsOf(spec.params, find, id, redraw),
        ...(sopCanvas.testOf?.(node) ?? []),
        ...fieldsOf([title], find, id, redraw),
        waysOf(node, spec),
      );
      mark(form);
      if (state.readonly) form.querySelectorAll("input, select, textarea, button").forEach((one) => { one.disabled = true; });
      if (focus) form.querySelector(`[data-param="${CSS.escape(focus)}"] :is(input, select, textarea, button)`)?.focus();
      return undefined;
    };
    form.redraw = redraw;
    redraw();
    return form;
  }
  // where each way out leads: by choice, so that keys and screen readers connect too
  function waysOf(node, spec) {
    const outs = g.outsOf(spec, node);
    if (!outs.length) return document.createDocumentFragment();
    const others = g.walk(state.graph, state.kinds).filter((one) => one.id !== node.id && one.kind !== "entry");
    const box = element("fieldset", { className: "canvas-ways", data: { param: "ways" } }, element("legend", { textContent: say("goes_on") }));
    for (const out of outs) {
      const to = g.edgeOf(state.graph, node.id, out.key)?.to ?? "";
      const choices = [["", say("nowhere")], ...others.map((one) => [one.id, `${sopCanvas.specOf(one).label} · ${sopCanvas.nameOf(one)}`.slice(0, 60)])];
      const made = widget.select(choices, to, (id) => change((graph) => g.connect(graph, node.id, out.key, id || null)), { id: widget.freshId() });
      made.dataset.way = out.key;
      box.append(element("div", { className: "canvas-way" }, element("label", { htmlFor: made.id, textContent: out.label }), made));
    }
    box.append(element("div", { className: "field-error", hidden: true }));
    return box;
  }
  function settingsForm() {
    const form = element("div", { className: "node-form", data: { form: "" } });
    const redraw = (focus) => {
      form.replaceChildren(...fieldsOf(state.data.settings, (graph) => graph.settings ??= {}, "settings", redraw));
      mark(form);
      if (state.readonly) form.querySelectorAll("input, select, textarea, button").forEach((one) => { one.disabled = true; });
      if (focus) form.querySelector(`[data-param="${CSS.escape(focus)}"] :is(input, select, textarea, button)`)?.focus();
    };
    form.redraw = redraw;
    redraw();
    return form;
  }

  // what is wrong, at its field; what has no field stands at the end
  function mark(form) {
    form.querySelectorAll(".form-problems, .form-warnings").forEach((box) => box.remove());
    form.querySelectorAll("[data-param]").forEach((box) => {
      const error = box.querySelector(":scope > .field-error");
      if (error) Object.assign(error, { hidden: true, textContent: "" });
      box.querySelectorAll(".is-invalid").forEach((control) => control.classList.remove("is-invalid"));
    });
    const rest = [];
    for (const problem of state.problems.filter((one) => (one.node ?? "") === form.dataset.form)) {
      // "cases.0.condition": at the case's condition, or else at the cases
      const box = problem.field ? [problem.field, problem.field.split(".")[0]].map((name) => form.querySelector(`[data-param="${CSS.escape(name)}"]`)).find(Boolean) : null;
      const error = box?.querySelector(":scope > .field-error");
      if (!error) {
        rest.push(problem.message);
        continue;
      }
      error.hidden = false;
      error.textContent = error.textContent ? `${error.textContent} · ${problem.message}` : problem.message;
      box.querySelector(".form-control, .form-select")?.classList.add("is-invalid");
    }
    if (rest.length) form.prepend(element("div", { className: "form-problems field-error", textContent: rest.join(" · ") }));
    const doubtful = form.dataset.form ? sopCanvas.warningsOf(form.dataset.form) : [];
    if (doubtful.length) form.prepend(element("div", { className: "form-warnings", role: "note", textContent: [...new Set(doubtful.map((one) => one.message))].join(" · ") }));
  }
  const forms = () => document.querySelectorAll(".node-form");
  on("problems", () => forms().forEach(mark));
  on("change", ({ topic }) => {
    if (topic === "back" || topic === "replace") forms().forEach((form) => form.redraw());
    else if (!topic) forms().forEach((form) => { if (!form.contains(document.activeElement)) form.redraw(); });
  });

  Object.assign(sopCanvas, { nodeForm, settingsForm });
})();

// The panel beside the canvas: the chosen node, or (nothing chosen) the settings of the whole and what is wrong with it.
"use strict";
(() => {
  const { graph: g, state, on, change, choose, element, say, widget } = sopCanvas;
  const panel = document.querySelector("#inspector");
  const head = panel.querySelector("[data-panel-head]");
  const body = panel.querySelector("[data-panel-body]");
  let shown = null;

  function draw() {
    const ids = [...state.chosen];
    const id = ids.length === 1 ? ids[0] : ids.length ? "several" : "";
    panel.classList.toggle("open", Boolean(ids.length));
    if (shown === id && id !== "several") return;
    shown = id;
    if (id === "several") return drawSeveral(ids);
    if (!id) return drawWhole();
    const node = g.nodeOf(state.graph, id);
    const spec = sopCanvas.specOf(node);
    head.replaceChildren(
      element("span", { className: `node-icon tone-${spec.tone}` }, sopCanvas.icon(node.kind)),
      element("div", {}, element("h2", { textContent: spec.label }), element("p", { className: "muted", textContent: spec.help ?? "" })),
      ...(state.readonly ? [] : [widget.button("", () => remove([id]), { className: "btn-icon", ariaLabel: say("remove"), title: say("remove") })]),
      widget.button("", () => { choose([]); sopCanvas.focusNode(id); }, { className: "btn-icon panel-close", ariaLabel: say("close") }),
    );
    head.querySelector(`[aria-label="${CSS.escape(say("remove"))}"]`)?.append(sopCanvas.icon("remove"));
    head.querySelector(".panel-close").append(sopCanvas.icon("close"));
    body.replaceChildren(sopCanvas.nodeForm(id));
    sopCanvas.emit("panel", { node, body });
    return undefined;
  }
  function drawWhole() {
    head.replaceChildren(element("div", {}, element("h2", { textContent: say("settings") }), element("p", { className: "muted", textContent: say("settings_help") })));
    body.replaceChildren(element("div", { className: "canvas-problems" }), sopCanvas.settingsForm());
    drawProblems();
    sopCanvas.emit("panel", { node: null, body });
  }
  function drawSeveral(ids) {
    head.replaceChildren(element("h2", { textContent: say("n_chosen", { n: ids.length }) }));
    body.replaceChildren(...(state.readonly ? [] : [widget.button(say("remove"), () => remove(ids), { className: "btn btn-ghost-danger" })]));
  }
  function remove(ids) {
    change((graph) => g.remove(graph, state.kinds, ids));
    choose([]);
  }
  // every problem as a way to its node
  function drawProblems() {
    const box = body.querySelector(".canvas-problems");
    if (!box) return;
    const rows = rowsOf(state.problems.filter((problem) => !problem.field || problem.node).slice(0, 40));
    const doubtful = rowsOf(state.warnings.slice(0, 40));
    box.replaceChildren(
      ...(rows.length ? [element("h3", { textContent: say("to_mend") }), ...rows] : []),
      ...(doubtful.length ? [element("h3", { className: "doubtful", textContent: say("to_consider") }), ...doubtful] : []),
    );
  }
  function rowsOf(problems) {
    return problems.flatMap((problem) => {
      if (!problem.node) return [element("div", { className: "canvas-problem", textContent: problem.message })];
      const node = g.nodeOf(state.graph, problem.node);
      if (!node) return [];
      const row = widget.button("", () => open(node, problem.field), { className: "canvas-problem" });
      row.append(element("strong", { textContent: sopCanvas.nameOf(node) }), ` ${problem.message}`);
      return [row];
    });
  }
  function open(node, field) {
    choose([node.id]);
    sopCanvas.show(node);
    edit(node.id, field);
  }
  function edit(id, field) {
    const at = field ? `[data-param="${CSS.escape(field.split(".")[0])}"] :is(input:not([type=hidden]), select, textarea, button)` : ":is(input:not([type=hidden]), select, textarea, button)";
    (body.querySelector(at) ?? body.querySelector("input, select, textarea"))?.focus();
  }

  on("choose", draw);
  on("change", () => {
    const node = shown && g.nodeOf(state.graph, shown);
    if (shown && shown !== "several" && !node) choose([]);
  });
  on("problems", drawProblems);
  Object.assign(sopCanvas, { editNode: edit, drawInspector: draw, openProblem: open });
})();

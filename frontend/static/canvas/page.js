// The buttons above the canvas, the choice of canvas or list, and the beginning.
"use strict";
(() => {
  const { graph: g, state, on, change } = sopCanvas;
  const $ = (selector) => document.querySelector(selector);
  const KEPT = "sop-canvas-view";
  const least = state.readonly ? 0.6 : 0.75; // at first no smaller than this

  sopCanvas.tidy = () => {
    change((graph) => sopCanvas.arrange(graph, state.kinds));
    sopCanvas.fit();
    return true;
  };
  const acts = {
    undo: sopCanvas.undo, redo: sopCanvas.redo, fit: () => sopCanvas.fit(), tidy: sopCanvas.tidy,
    in: () => sopCanvas.zoomAt(1.2), out: () => sopCanvas.zoomAt(1 / 1.2),
    help: () => tabler.Modal.getOrCreateInstance($("#canvas-keys")).show(),
    settings: () => {
      if (!$("#outline").hidden) return sopCanvas.openSettings();
      sopCanvas.choose([]); $("#inspector").classList.add("open");
      return sopCanvas.editNode();
    },
    canvas: () => look("canvas"), list: () => look("list"),
    problems: () => {
      const first = state.problems.find((problem) => g.nodeOf(state.graph, problem.node));
      if (first && $("#outline").hidden) sopCanvas.openProblem(g.nodeOf(state.graph, first.node), first.field);
      else if (first) openInList(first);
      else acts.settings();
    },
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-canvas-act]");
    if (button) acts[button.dataset.canvasAct]?.();
  });
  function openInList(problem) {
    const head = $(`#outline [data-outline="${CSS.escape(problem.node)}"] .outline-head`);
    if (head?.getAttribute("aria-expanded") === "false") head.click();
    head?.scrollIntoView({ block: "center" });
  }

  const narrow = () => matchMedia("(max-width: 991.98px)").matches;
  function look(which) {
    const list = which === "list";
    $("#outline").hidden = !list;
    $("#canvas").classList.toggle("as-list", list);
    document.querySelectorAll("[data-canvas-act=canvas], [data-canvas-act=list]").forEach((button) => {
      const on = button.dataset.canvasAct === which;
      button.classList.toggle("active", on);
      button.setAttribute("aria-pressed", String(on));
    });
    localStorage.setItem(KEPT, which);
    if (list) return sopCanvas.drawOutline();
    if (narrow()) $("#inspector").classList.remove("open"); // it would lie over what one wants to see
    sopCanvas.draw();
    return sopCanvas.fit(least);
  }
  function counts() {
    document.querySelectorAll("[data-canvas-act=undo]").forEach((button) => { button.disabled = !state.past.length; });
    document.querySelectorAll("[data-canvas-act=redo]").forEach((button) => { button.disabled = !state.future.length; });
    const n = state.problems.length;
    document.querySelectorAll("[data-problem-count]").forEach((place) => {
      place.textContent = n || "";
      place.closest("button").hidden = !n;
      place.closest("button").classList.toggle("has-problems", n > 0);
    });
  }
  on("change", counts);
  on("problems", counts);

  // what would happen to a person: their way shines on the canvas while the drawer is open
  document.addEventListener("htmx:afterSwap", () => {
    const path = $("#drawer-content #try-path");
    state.path = path ? new Set(JSON.parse(path.textContent)) : null;
    sopCanvas.draw();
  });
  $("#drawer")?.addEventListener("hidden.bs.offcanvas", () => { state.path = null; sopCanvas.draw(); });

  // a graph without places (a template, an import) is laid out before anybody sees it
  const places = new Set(state.graph.nodes.map((node) => `${node.x ?? 0}:${node.y ?? 0}`));
  if (places.size < state.graph.nodes.length) sopCanvas.arrange(state.graph, state.kinds);
  // cards with figures are taller: everything moves apart
  if (state.numbers) for (const node of state.graph.nodes) node.y *= 1 + 56 / (g.SIZE.height + g.SIZE.gapY);
  sopCanvas.drawInspector();
  look(narrow() ? "list" : localStorage.getItem(KEPT) === "list" ? "list" : "canvas");
  counts();
  new ResizeObserver(() => { if ($("#outline").hidden && !sopCanvas.seen && sopCanvas.stage.clientWidth) { sopCanvas.seen = true; sopCanvas.fit(least); } }).observe(sopCanvas.stage);
})();

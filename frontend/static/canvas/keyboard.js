// The canvas by keys: walk from card to card, move, add, connect, edit, copy, take out, undo.
"use strict";
(() => {
  const { graph: g, state, change, choose, stage } = sopCanvas;
  const KEPT = "sop-canvas-clip"; // of this browser, so that a copy goes from one SOP to another
  const arrows = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const typing = (target) => target.closest?.("input, textarea, select, [contenteditable], .canvas-menu, .modal");

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && event.target.closest("#inspector")) back(event);
      return;
    }
    const ctrl = event.ctrlKey || event.metaKey;
    const inside = stage.contains(document.activeElement) || document.activeElement === document.body;
    const key = event.key.toLowerCase();
    const act = ctrl ? (inside || "zys".includes(key)) && withCtrl[key] : inside && plain[event.key];
    if (!act || (ctrl && event.altKey)) return;
    if (act(event) === false) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  const current = () => {
    const id = document.activeElement?.closest?.("[data-node]")?.dataset.node ?? [...state.chosen].at(-1);
    return id ? g.nodeOf(state.graph, id) : null;
  };
  function arrow(event) {
    const [dx, dy] = arrows[event.key];
    if (event.altKey || event.shiftKey) return move(dx, dy, event.altKey ? 1 : 3);
    return walk(dx, dy);
  }
  function move(dx, dy, steps) {
    if (!state.chosen.size || state.readonly) return false;
    const by = g.SIZE.grid * steps;
    change((graph) => { for (const node of graph.nodes) if (state.chosen.has(node.id)) { node.x += dx * by; node.y += dy * by; } }, `move:${[...state.chosen]}`);
    return true;
  }
  // to the nearest card in that direction; far to the side counts more than far ahead
  function walk(dx, dy) {
    const from = current();
    const far = (node) => {
      const x = node.x - from.x;
      const y = node.y - from.y;
      const ahead = x * dx + y * dy;
      return ahead > 0 ? ahead + 2.5 * Math.abs(x * dy + y * dx) : Infinity;
    };
    const next = from ? state.graph.nodes.filter((node) => node !== from).sort((a, b) => far(a) - far(b))[0] : g.walk(state.graph, state.kinds)[0];
    if (!next || (from && far(next) === Infinity)) return true;
    choose([next.id]);
    sopCanvas.focusNode(next.id);
    sopCanvas.show(next);
    return true;
  }
  function add() {
    if (state.readonly) return false;
    const node = current();
    const box = (node ? sopCanvas.cards[node.id] : stage).getBoundingClientRect();
    if (node) choose([node.id]);
    sopCanvas.askKind(box.left + box.width / 2, node ? box.bottom : box.top + 40, sopCanvas.addAfterChosen);
    return true;
  }
  function remove() {
    if (state.readonly) return false;
    if (state.edge) return sopCanvas.removeEdge(state.edge), true;
    const ids = [...state.chosen];
    if (!ids.length) return false;
    const before = g.edgesTo(state.graph, ids[0])[0]?.from;
    change((graph) => g.remove(graph, state.kinds, ids));
    const next = g.nodeOf(state.graph, before) ?? state.graph.nodes[0];
    choose(next ? [next.id] : []);
    if (next) sopCanvas.focusNode(next.id);
    return true;
  }
  function edit() {
    const node = current();
    if (!node) return false;
    choose([node.id]);
    sopCanvas.editNode?.(node.id);
    return true;
  }
  function back(event) {
    const node = current();
    event.preventDefault();
    event.target.blur?.();
    if (node) sopCanvas.focusNode(node.id);
  }

  // ---- copy and paste

  function take() {
    if (!state.chosen.size || String(getSelection())) return false;
    localStorage.setItem(KEPT, JSON.stringify(g.copy(state.graph, state.chosen)));
    return true;
  }
  function put(clip, dx = 32, dy = 32) {
    if (!clip?.nodes?.length || state.readonly) return false;
    const known = clip.nodes.filter((node) => state.kinds[node.kind]);
    const ids = change((graph) => g.paste(graph, { ...clip, nodes: known, edges: clip.edges.filter((edge) => [edge.from, edge.to].every((id) => known.some((node) => node.id === id))) }, dx, dy));
    choose(ids);
    sopCanvas.focusNode(ids[0]);
    sopCanvas.show(g.nodeOf(state.graph, ids[0]));
    return true;
  }
  function kept() {
    try { return JSON.parse(localStorage.getItem(KEPT)); } catch { return null; }
  }

  const plain = {
    ...Object.fromEntries(Object.keys(arrows).map((key) => [key, arrow])),
    Delete: remove, Backspace: remove, a: add, Insert: add,
    Enter: (event) => (event.target.matches(".node-card") ? edit() : false),
    Escape: () => { choose([]); return true; },
    f: () => (sopCanvas.fit(), true), "+": () => (sopCanvas.zoomAt(1.2), true), "=": () => (sopCanvas.zoomAt(1.2), true), "-": () => (sopCanvas.zoomAt(1 / 1.2), true),
    l: () => sopCanvas.tidy?.(),
  };
  const withCtrl = {
    z: (event) => (event.shiftKey ? sopCanvas.redo() : sopCanvas.undo(), true),
    y: () => (sopCanvas.redo(), true),
    c: take, x: () => take() && remove(), v: () => put(kept()),
    d: () => (state.chosen.size ? put(g.copy(state.graph, state.chosen)) : false),
    a: () => (choose(state.graph.nodes.map((node) => node.id)), true),
    s: () => (sopCanvas.save?.(), true),
  };
})();

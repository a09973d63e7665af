// Mouse, pen and fingers: choose, drag, frame several, move and scale the plane; nodes from the palette.
"use strict";
(() => {
  const { graph: g, state, change, choose, element, stage, view, connecting } = sopCanvas;
  const fingers = new Map();
  let act = null; // what a pressed pointer does: {kind, …}

  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest(".canvas-tools, .canvas-menu, #edge-tools")) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 2) return beginPinch();
    const port = event.target.closest(".port");
    if (port && !state.readonly && event.button === 0) return connecting.begin(event, port);
    const card = event.target.closest(".node-card");
    if (card && event.button === 0) return beginDrag(event, card.closest("[data-node]").dataset.node);
    const edge = sopCanvas.edgeAt(event.clientX, event.clientY);
    if (edge && event.button === 0) return choose([], edge);
    stage.setPointerCapture(event.pointerId);
    if (event.shiftKey && event.button === 0) act = { kind: "frame", x: event.clientX, y: event.clientY };
    else act = { kind: "pan", x: event.clientX - view.x, y: event.clientY - view.y, fromX: event.clientX, fromY: event.clientY, moved: false };
    if (event.button === 1) event.preventDefault();
    return undefined;
  });
  stage.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
    if (act?.kind === "pinch") return pinch();
    if (connecting.move(event) || !act) return undefined;
    if (act.kind === "pan") {
      if (!act.moved && Math.hypot(event.clientX - act.fromX, event.clientY - act.fromY) < 4) return undefined;
      act.moved = true;
      stage.classList.add("panning");
      view.x = event.clientX - act.x;
      view.y = event.clientY - act.y;
      sopCanvas.applyView();
    } else if (act.kind === "drag") drag(event);
    else if (act.kind === "frame") frame(event);
    return undefined;
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (name === "pointercancel") connecting.stop();
      else if (connecting.end(event)) return;
      const was = act;
      act = null;
      stage.classList.remove("panning");
      if (was?.kind === "pan" && !was.moved) choose([]);
      if (was?.kind === "drag" && was.moved) sopCanvas.emit("change", { topic: "move" });
      else if (was?.kind === "drag") sopCanvas.drawInspector();
      if (was?.kind === "frame") document.querySelector("#frame-box").hidden = true;
    });
  }

  // ---- choose and drag

  function beginDrag(event, id) {
    if (event.shiftKey || event.ctrlKey || event.metaKey) {
      const chosen = new Set(state.chosen);
      if (!chosen.delete(id)) chosen.add(id);
      choose(chosen);
    } else if (!state.chosen.has(id)) choose([id]);
    if (state.readonly || !state.chosen.has(id)) return;
    // on a phone the panel lies over the canvas: it comes when the pointer goes up without having moved the node
    document.querySelector("#inspector").classList.remove("open");
    act = { kind: "drag", x: event.clientX, y: event.clientY, moved: false, from: {} };
    for (const node of state.graph.nodes) if (state.chosen.has(node.id)) act.from[node.id] = { x: node.x, y: node.y };
  }
  function drag(event) {
    const dx = (event.clientX - act.x) / view.zoom;
    const dy = (event.clientY - act.y) / view.zoom;
    if (!act.moved && Math.hypot(dx, dy) * view.zoom < 4) return;
    if (!act.moved) change(() => {}); // the way back begins here
    act.moved = true;
    for (const [id, at] of Object.entries(act.from)) {
      const node = g.nodeOf(state.graph, id);
      if (!node) continue;
      node.x = g.snap(at.x + dx);
      node.y = g.snap(at.y + dy);
      sopCanvas.cards[id].style.transform = `translate(${node.x}px, ${node.y}px)`;
    }
    sopCanvas.drawEdges();
  }
  function frame(event) {
    const box = document.querySelector("#frame-box");
    const a = sopCanvas.toWorld(Math.min(act.x, event.clientX), Math.min(act.y, event.clientY));
    const b = sopCanvas.toWorld(Math.max(act.x, event.clientX), Math.max(act.y, event.clientY));
    Object.assign(box.style, { left: `${a.x}px`, top: `${a.y}px`, width: `${b.x - a.x}px`, height: `${b.y - a.y}px` });
    box.hidden = false;
    choose(state.graph.nodes.filter((node) => node.x < b.x && node.x + g.SIZE.width > a.x && node.y < b.y && node.y + sopCanvas.height() > a.y).map((node) => node.id));
  }

  // ---- move and scale

  function beginPinch() {
    connecting.stop();
    const [a, b] = [...fingers.values()];
    act = { kind: "pinch", far: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY), x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 };
  }
  function pinch() {
    if (fingers.size < 2) return;
    const [a, b] = [...fingers.values()];
    const far = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const x = (a.clientX + b.clientX) / 2;
    const y = (a.clientY + b.clientY) / 2;
    view.x += x - act.x;
    view.y += y - act.y;
    sopCanvas.zoomAt(far / act.far, x, y);
    Object.assign(act, { far, x, y });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) return sopCanvas.zoomAt(Math.exp(-event.deltaY / 300), event.clientX, event.clientY);
    view.x -= event.shiftKey ? event.deltaY : event.deltaX;
    view.y -= event.shiftKey ? 0 : event.deltaY;
    return sopCanvas.applyView();
  }, { passive: false });

  // ---- palette: drag onto the plane (onto an edge: between two nodes), or press to add after what is chosen

  const palette = document.querySelector("#palette");
  let carried = null;
  palette?.addEventListener("pointerdown", (event) => {
    const item = event.target.closest("[data-kind]");
    if (item && event.button === 0 && event.pointerType !== "touch") carried = { item, kind: item.dataset.kind, x: event.clientX, y: event.clientY, ghost: null };
  });
  document.addEventListener("pointermove", (event) => {
    if (!carried) return;
    if (!carried.ghost && Math.hypot(event.clientX - carried.x, event.clientY - carried.y) < 5) return;
    carried.ghost ??= document.body.appendChild(element("div", { className: `canvas-ghost tone-${state.kinds[carried.kind].tone}`, textContent: state.kinds[carried.kind].label }));
    carried.ghost.style.transform = `translate(${event.clientX}px, ${event.clientY}px) translate(-50%, -50%)`;
    const edge = sopCanvas.edgeAt(event.clientX, event.clientY);
    document.querySelectorAll(".edge").forEach((group) => group.classList.toggle("over", Boolean(edge) && group.dataset.from === edge.from && group.dataset.out === edge.out));
    event.preventDefault();
  });
  document.addEventListener("pointerup", (event) => {
    if (!carried) return;
    const { kind, ghost } = carried;
    carried = null;
    if (!ghost) return;
    ghost.remove();
    palette.dataset.dropped = "1";
    setTimeout(() => delete palette.dataset.dropped);
    const box = stage.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom) return;
    const edge = sopCanvas.edgeAt(event.clientX, event.clientY);
    if (edge && kind !== "entry") {
      sopCanvas.addBetween(edge, kind);
      return;
    }
    const at = sopCanvas.toWorld(event.clientX, event.clientY);
    const node = change((graph) => g.add(graph, kind, at.x - g.SIZE.width / 2, at.y - g.SIZE.height / 2, state.kinds[kind].fresh));
    choose([node.id]);
    sopCanvas.focusNode(node.id);
  });
  palette?.addEventListener("click", (event) => {
    const item = event.target.closest("[data-kind]");
    if (item && !palette.dataset.dropped) sopCanvas.addAfterChosen(item.dataset.kind);
  });
})();

// Edges: curves from a way out to the next node, made by dragging from a way out.
"use strict";
(() => {
  const { graph: g, state, on, change, choose } = sopCanvas;
  const svg = document.querySelector("#edges");
  const NS = "http://www.w3.org/2000/svg";

  function startOf(edge) {
    const node = g.nodeOf(state.graph, edge.from);
    if (!node) return null;
    const outs = g.outsOf(sopCanvas.specOf(node), node);
    const i = outs.findIndex((out) => out.key === edge.out);
    return { x: node.x + sopCanvas.portX(Math.max(i, 0), Math.max(outs.length, 1)), y: node.y + sopCanvas.height() + 10 };
  }
  function endOf(edge) {
    const node = g.nodeOf(state.graph, edge.to);
    return node && { x: node.x + g.SIZE.width / 2, y: node.y - 2 };
  }
  function curve(a, b) {
    if (b.y < a.y + 12) { // back up, or beside: round the cards
      const side = b.x >= a.x ? Math.max(a.x, b.x) + g.SIZE.width * 0.7 : Math.min(a.x, b.x) - g.SIZE.width * 0.7;
      return `M${a.x},${a.y} C${a.x},${a.y + 60} ${side},${a.y + 50} ${side},${(a.y + b.y) / 2} S${b.x},${b.y - 60} ${b.x},${b.y}`;
    }
    const bend = Math.max(24, (b.y - a.y) / 2);
    const far = b.y - a.y > 2 * g.SIZE.gapY;
    if (far && !isFree(bezier(a, b, bend), a, b)) {
      const x = laneFor(a, b);
      const [y1, y2] = [a.y + g.SIZE.gapY, b.y - g.SIZE.gapY];
      return `M${a.x},${a.y} C${a.x},${a.y + 40} ${x},${y1 - 40} ${x},${y1} L${x},${y2} C${x},${y2 + 40} ${b.x},${b.y - 40} ${b.x},${b.y}`;
    }
    return `M${a.x},${a.y} C${a.x},${a.y + bend} ${b.x},${b.y - bend} ${b.x},${b.y}`;
  }
  function bezier(a, b, bend) {
    return [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8].map((t) => {
      const [p, q, r, s] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
      return { x: (p + q) * a.x + (r + s) * b.x, y: p * a.y + q * (a.y + bend) + r * (b.y - bend) + s * b.y };
    });
  }
  // no card on the way (those at both ends do not count)
  function isFree(points, a, b) {
    return points.every(({ x, y }) => state.graph.nodes.every((node) => x < node.x - 8 || x > node.x + g.SIZE.width + 8 || y < node.y - 4 || y > node.y + sopCanvas.height() + 4 || node.y + sopCanvas.height() < a.y || node.y > b.y - 12));
  }
  // the nearest column beside which no card stands from one end to the other
  function laneFor(a, b) {
    const lanes = state.graph.nodes.flatMap((node) => [node.x - 20, node.x + g.SIZE.width + 20]).concat(a.x, b.x);
    const cost = (x) => 2 * Math.abs(x - a.x) + Math.abs(x - b.x); // close to the way out, so that ways do not cross
    const ys = [];
    for (let y = a.y + g.SIZE.gapY - 20; y < b.y - g.SIZE.gapY + 20; y += 24) ys.push(y);
    return lanes.sort((one, other) => cost(one) - cost(other)).find((x) => isFree(ys.map((y) => ({ x, y })), a, b)) ?? a.x;
  }
  function path(name, d) {
    const made = document.createElementNS(NS, "path");
    made.setAttribute("class", name);
    made.setAttribute("d", d);
    return made;
  }
  const same = (a, b) => Boolean(a && b && a.from === b.from && a.out === b.out);

  function draw() {
    const drawn = state.graph.edges.flatMap((edge) => {
      const a = startOf(edge);
      const b = endOf(edge);
      if (!a || !b) return [];
      const d = curve(a, b);
      const group = document.createElementNS(NS, "g");
      group.setAttribute("class", `edge${same(state.edge, edge) ? " chosen" : ""}${edge.look ? ` look-${edge.look}` : ""}`);
      group.dataset.from = edge.from;
      group.dataset.out = edge.out;
      const line = path("edge-line", d);
      line.setAttribute("marker-end", "url(#arrow)");
      group.append(line, path("edge-hit", d));
      return [group];
    });
    svg.querySelector("#edge-lines").replaceChildren(...drawn);
    drawTools();
  }
  // the chosen edge has two buttons in its middle: a node here, take out
  function drawTools() {
    const tools = document.querySelector("#edge-tools");
    const edge = state.edge && state.graph.edges.find((one) => same(one, state.edge));
    tools.hidden = !edge || state.readonly;
    if (!edge || state.readonly) return;
    const a = startOf(edge);
    const b = endOf(edge);
    tools.style.transform = `translate(${(a.x + b.x) / 2}px, ${(a.y + b.y) / 2}px) translate(-50%, -50%)`;
  }
  document.querySelector("#edge-tools").addEventListener("click", (event) => {
    const edge = state.edge;
    if (event.target.closest("[data-edge-add]")) sopCanvas.askKind(event.clientX, event.clientY, (kind) => addBetween(edge, kind));
    if (event.target.closest("[data-edge-remove]")) removeEdge(edge);
  });
  function removeEdge(edge) {
    change((graph) => g.connect(graph, edge.from, edge.out, null));
    choose([]);
  }
  function addBetween(edge, kind) {
    const node = change((graph) => {
      const made = g.insertAfter(graph, state.kinds, edge.from, edge.out, kind);
      makeRoom(graph, made);
      return made;
    });
    choose([node.id]);
    sopCanvas.show(node);
    sopCanvas.focusNode(node.id);
    return node;
  }
  // what stands where the new node is moves down, with all that follows it
  function makeRoom(graph, made) {
    const hit = graph.nodes.some((node) => node !== made && Math.abs(node.x - made.x) < g.SIZE.width && Math.abs(node.y - made.y) < g.SIZE.height + 24);
    if (!hit) return;
    for (const node of graph.nodes) if (node !== made && node.y >= made.y - 24) node.y += g.SIZE.height + g.SIZE.gapY;
  }

  // ---- drag from a way out

  let open = null;
  function begin(event, port) {
    const from = port.closest("[data-node]").dataset.node;
    open = { from, out: port.dataset.out, x: event.clientX, y: event.clientY, moved: false };
    port.setPointerCapture(event.pointerId);
  }
  function move(event) {
    if (!open) return false;
    if (!open.moved && Math.hypot(event.clientX - open.x, event.clientY - open.y) < 5) return true;
    open.moved = true;
    sopCanvas.stage.classList.add("connecting");
    const d = curve(startOf({ from: open.from, out: open.out }), sopCanvas.toWorld(event.clientX, event.clientY));
    svg.querySelector("#edge-new").setAttribute("d", d);
    const over = nodeAt(event);
    for (const [id, card] of Object.entries(sopCanvas.cards)) card.classList.toggle("target", id === over && id !== open.from);
    return true;
  }
  function end(event) {
    if (!open) return false;
    const { from, out, moved } = open;
    stop();
    const over = nodeAt(event);
    if (!moved) {
      sopCanvas.askKind(event.clientX, event.clientY, (kind) => addBetween({ from, out }, kind));
    } else if (over && over !== from) {
      if (state.graph.nodes.some((node) => node.id === over && node.kind !== "entry")) change((graph) => g.connect(graph, from, out, over));
    } else if (!over) {
      const at = sopCanvas.toWorld(event.clientX, event.clientY);
      sopCanvas.askKind(event.clientX, event.clientY, (kind) => {
        const node = change((graph) => {
          const made = g.add(graph, kind, at.x - g.SIZE.width / 2, at.y, state.kinds[kind].fresh);
          g.connect(graph, from, out, made.id);
          return made;
        });
        choose([node.id]);
        sopCanvas.focusNode(node.id);
      });
    }
    return true;
  }
  function stop() {
    open = null;
    sopCanvas.stage.classList.remove("connecting");
    svg.querySelector("#edge-new").setAttribute("d", "");
    for (const card of Object.values(sopCanvas.cards)) card.classList.remove("target");
  }
  function nodeAt(event) {
    return document.elementFromPoint(event.clientX, event.clientY)?.closest?.("[data-node]")?.dataset.node;
  }
  function edgeAt(clientX, clientY) {
    const group = document.elementFromPoint(clientX, clientY)?.closest?.(".edge");
    return group ? { from: group.dataset.from, out: group.dataset.out } : null;
  }

  on("drawn", draw);
  on("choose", draw);
  Object.assign(sopCanvas, { drawEdges: draw, connecting: { begin, move, end, stop }, edgeAt, addBetween, removeEdge });
})();

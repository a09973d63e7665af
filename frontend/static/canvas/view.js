// The canvas itself: cards of the nodes on a plane that is moved and scaled. Edges are drawn by edges.js.
"use strict";
(() => {
  const { graph: g, state, on, emit, choose, element, say } = sopCanvas;
  const $ = (selector) => document.querySelector(selector);
  const stage = $("#stage");
  const world = $("#world");
  const layer = $("#nodes");
  const view = { x: 40, y: 40, zoom: 1, least: 0.1, most: 1.6 };
  const cards = {};
  const height = () => (state.numbers ? g.SIZE.height + 56 : g.SIZE.height);

  function apply() {
    world.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
    let dot = 24 * view.zoom;
    while (dot < 14) dot *= 2;
    stage.style.backgroundSize = `${dot}px ${dot}px`;
    stage.style.backgroundPosition = `${view.x}px ${view.y}px`;
    const share = $("#zoom-share");
    if (share) share.textContent = `${Math.round(view.zoom * 100)} %`;
  }
  function toWorld(clientX, clientY) {
    const box = stage.getBoundingClientRect();
    return { x: (clientX - box.left - view.x) / view.zoom, y: (clientY - box.top - view.y) / view.zoom };
  }
  function zoomAt(factor, clientX, clientY) {
    const box = stage.getBoundingClientRect();
    const px = (clientX ?? box.left + box.width / 2) - box.left;
    const py = (clientY ?? box.top + box.height / 2) - box.top;
    const zoom = Math.min(view.most, Math.max(view.least, view.zoom * factor));
    view.x = px - ((px - view.x) * zoom) / view.zoom;
    view.y = py - ((py - view.y) * zoom) / view.zoom;
    view.zoom = zoom;
    apply();
  }
  function bounds(nodes) {
    const xs = nodes.map((node) => node.x);
    const ys = nodes.map((node) => node.y);
    return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs) + g.SIZE.width, bottom: Math.max(...ys) + height() };
  }
  // everything on the screen; at first only as far as it can still be read
  function fit(least = view.least) {
    const box = stage.getBoundingClientRect();
    if (!state.graph.nodes.length || !box.width) return;
    const all = bounds(state.graph.nodes);
    view.zoom = Math.max(least, Math.min(1, (box.width - 64) / (all.right - all.left), (box.height - 96) / (all.bottom - all.top)));
    view.x = (box.width - (all.left + all.right) * view.zoom) / 2;
    // too wide: the beginning in the middle
    const first = g.walk(state.graph, state.kinds)[0];
    if ((all.right - all.left) * view.zoom > box.width) view.x = box.width / 2 - (first.x + g.SIZE.width / 2) * view.zoom;
    view.y = Math.max(32 - all.top * view.zoom, (box.height - (all.top + all.bottom) * view.zoom) / 2);
    if (all.bottom - all.top < box.height - 64) view.y = 32 - all.top * view.zoom;
    apply();
  }
  // so far that a node is seen, no further
  function show(node) {
    const box = stage.getBoundingClientRect();
    const left = node.x * view.zoom + view.x;
    const top = node.y * view.zoom + view.y;
    const w = g.SIZE.width * view.zoom;
    const h = (height() + 24) * view.zoom;
    if (left < 16) view.x += 16 - left; else if (left + w > box.width - 16) view.x -= left + w - box.width + 16;
    if (top < 16) view.y += 16 - top; else if (top + h > box.height - 16) view.y -= top + h - box.height + 16;
    apply();
  }

  // ---- cards

  function portX(i, n) {
    return g.SIZE.width / 2 + (i - (n - 1) / 2) * Math.max(n > 1 ? g.SIZE.width / n : 0, n > 1 ? 76 : 0);
  }
  function makeCard(node) {
    const card = element("div", { className: "node", data: { node: node.id } });
    const face = element("button", { type: "button", className: "node-card" });
    face.append(element("span", { className: "node-icon" }), element("span", { className: "node-text" }, element("span", { className: "node-kind" }), element("span", { className: "node-title" })), element("span", { className: "node-mark", hidden: true }));
    card.append(face, element("div", { className: "node-ports" }));
    return card;
  }
  function drawCard(node) {
    const card = cards[node.id] ??= makeCard(node);
    const spec = sopCanvas.specOf(node);
    const wrong = sopCanvas.problemsOf(node.id);
    const doubtful = sopCanvas.warningsOf(node.id);
    card.className = `node tone-${spec.tone ?? "grey"}${state.chosen.has(node.id) ? " chosen" : ""}${wrong.length ? " wrong" : doubtful.length ? " doubtful" : ""}${node.look ? ` look-${node.look}` : ""}${state.path?.has(node.id) ? " look-path" : ""}`;
    card.style.transform = `translate(${node.x}px, ${node.y}px)`;
    const face = card.firstElementChild;
    if (face.dataset.kind !== node.kind) {
      face.querySelector(".node-icon").replaceChildren(sopCanvas.icon(node.kind));
      face.dataset.kind = node.kind;
    }
    face.querySelector(".node-kind").textContent = spec.label;
    const title = face.querySelector(".node-title");
    title.textContent = node.title || state.summaries[node.id] || (spec.params.length ? say("not_set") : "");
    title.classList.toggle("muted", !node.title && !state.summaries[node.id]);
    const mark = face.querySelector(".node-mark");
    const said = [...wrong, ...doubtful];
    mark.hidden = !said.length;
    mark.textContent = wrong.length > 1 ? wrong.length : "!";
    mark.dataset.tip = said.map((problem) => problem.message).join("\n");
    face.setAttribute("aria-label", labelOf(node, spec, said));
    face.setAttribute("aria-pressed", String(state.chosen.has(node.id)));
    drawPorts(card.querySelector(".node-ports"), node, spec);
    emit("card", { node, card });
    return card;
  }
  function labelOf(node, spec, wrong) {
    const ways = g.outsOf(spec, node).map((out) => {
      const next = g.nodeOf(state.graph, g.edgeOf(state.graph, node.id, out.key)?.to);
      return next ? say("leads_to", { out: out.label, next: sopCanvas.nameOf(next) }) : say("leads_nowhere", { out: out.label });
    });
    return [`${spec.label}: ${sopCanvas.nameOf(node)}`, ...ways, ...wrong.map((problem) => problem.message)].join(". ");
  }
  function drawPorts(holder, node, spec) {
    const outs = g.outsOf(spec, node);
    holder.replaceChildren(...outs.map((out, i) => {
      const linked = g.edgeOf(state.graph, node.id, out.key);
      const port = element("button", { type: "button", className: `port${outs.length > 1 ? " port-named" : ""}${linked ? " linked" : ""}`, tabIndex: -1, disabled: state.readonly, data: { out: out.key } });
      port.setAttribute("aria-hidden", "true");
      port.textContent = outs.length > 1 ? out.label : linked ? "" : "+";
      port.style.left = `${portX(i, outs.length)}px`;
      port.style.top = `${height()}px`;
      return port;
    }));
  }
  function draw() {
    const order = g.walk(state.graph, state.kinds);
    for (const id of Object.keys(cards)) {
      if (!g.nodeOf(state.graph, id)) {
        cards[id].remove();
        delete cards[id];
      }
    }
    layer.classList.toggle("with-numbers", Boolean(state.numbers));
    order.forEach((node, i) => {
      const card = drawCard(node);
      // the order of Tab is that of the walk; a card that stands right already keeps the focus
      if (layer.children[i] !== card) layer.insertBefore(card, layer.children[i] ?? null);
    });
    $("#canvas-empty")?.toggleAttribute("hidden", state.graph.nodes.length > 0);
    emit("drawn");
  }
  const focus = (id) => cards[id]?.firstElementChild.focus({ preventScroll: true });

  on("change", draw);
  on("problems", draw);
  on("choose", () => {
    for (const [id, card] of Object.entries(cards)) {
      card.classList.toggle("chosen", state.chosen.has(id));
      card.firstElementChild.setAttribute("aria-pressed", String(state.chosen.has(id)));
    }
  });
  // the browser scrolls a focused card into sight in its own way; the plane has no scroll position
  stage.addEventListener("scroll", () => { stage.scrollTop = stage.scrollLeft = 0; });
  layer.addEventListener("focusin", (event) => {
    const id = event.target.closest("[data-node]")?.dataset.node;
    const node = id && g.nodeOf(state.graph, id);
    if (!node || !event.target.matches(".node-card") || !event.target.matches(":focus-visible")) return;
    show(node);
    if (!state.chosen.has(id)) choose([id]);
  });

  Object.assign(sopCanvas, { view, stage, cards, height, portX, toWorld, zoomAt, fit, show, draw, applyView: apply, focusNode: focus });
})();

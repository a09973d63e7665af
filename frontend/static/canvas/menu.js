// Which kind of node? A small menu at the pointer or at a card; and what is added where nothing was pointed at.
"use strict";
(() => {
  const { graph: g, state, change, choose, element, say } = sopCanvas;
  let menu = null;

  function close() {
    menu?.remove();
    menu = null;
  }
  function ask(clientX, clientY, then) {
    close();
    const before = document.activeElement;
    menu = element("div", { className: "canvas-menu" });
    menu.setAttribute("role", "menu");
    menu.setAttribute("aria-label", say("add"));
    for (const spec of Object.values(state.kinds)) {
      if (spec.kind === "entry" && state.graph.nodes.length) continue;
      const item = element("button", { type: "button", className: `menu-kind tone-${spec.tone}`, tabIndex: -1, data: { kind: spec.kind } }, sopCanvas.icon(spec.kind), element("span", { textContent: spec.label }));
      item.setAttribute("role", "menuitem");
      menu.append(item);
    }
    document.body.append(menu);
    const box = menu.getBoundingClientRect();
    menu.style.left = `${Math.max(8, Math.min(clientX, innerWidth - box.width - 8))}px`;
    menu.style.top = `${Math.max(8, Math.min(clientY + 8, innerHeight - box.height - 8))}px`;
    menu.addEventListener("click", (event) => {
      const kind = event.target.closest("[data-kind]")?.dataset.kind;
      close();
      if (kind) then(kind); else before?.focus?.();
    });
    menu.addEventListener("keydown", (event) => keys(event, before));
    menu.firstElementChild?.focus();
  }
  function keys(event, before) {
    event.stopPropagation();
    const items = [...menu.children];
    const at = items.indexOf(document.activeElement);
    const by = { ArrowDown: 2, ArrowUp: -2, ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) {
      event.preventDefault();
      items[Math.min(items.length - 1, Math.max(0, at + by))].focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      close();
      before?.focus?.();
    } else if (event.key.length === 1) {
      const rest = [...items.slice(at + 1), ...items.slice(0, at + 1)];
      rest.find((item) => item.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    }
  }
  document.addEventListener("pointerdown", (event) => { if (menu && !event.target.closest(".canvas-menu")) close(); }, true);

  // after the chosen node, at its first way out that leads nowhere (else its first); without one after the last of the walk
  function freeWay() {
    const order = g.walk(state.graph, state.kinds);
    const chosen = order.filter((node) => state.chosen.has(node.id));
    for (const node of chosen.length ? chosen.slice(-1) : [...order].reverse()) {
      const outs = g.outsOf(sopCanvas.specOf(node), node);
      const free = outs.find((out) => !g.edgeOf(state.graph, node.id, out.key)) ?? (chosen.length ? outs[0] : null);
      if (free) return { from: node.id, out: free.key };
    }
    return null;
  }
  function addAfterChosen(kind) {
    if (state.readonly) return null;
    const way = kind === "entry" ? null : freeWay();
    if (way) return sopCanvas.addBetween(way, kind);
    const lowest = state.graph.nodes.reduce((most, node) => Math.max(most, node.y), -1);
    const node = change((graph) => g.add(graph, kind, 0, lowest < 0 ? 0 : lowest + g.SIZE.height + g.SIZE.gapY, state.kinds[kind].fresh));
    if (state.graph.nodes.length === 1) sopCanvas.fit();
    choose([node.id]);
    sopCanvas.show(node);
    sopCanvas.focusNode(node.id);
    return node;
  }

  Object.assign(sopCanvas, { askKind: ask, addAfterChosen });
})();

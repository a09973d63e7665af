// The same graph as a list, for phones and screen readers: steps below each other, ways out indented, the forms inside.
"use strict";
(() => {
  const { graph: g, state, on, change, choose, element, say, widget } = sopCanvas;
  const root = document.querySelector("#outline");
  const openIds = new Set();
  let shape = "";

  function draw(force = false) {
    if (root.hidden) return;
    // while somebody types in a form only its heading changes; the list is drawn anew when the shape is another one
    const next = JSON.stringify([state.graph.nodes.map((node) => [node.id, node.kind, g.outsOf(sopCanvas.specOf(node), node)]), state.graph.edges]);
    if (!force && next === shape) return names();
    shape = next;
    const seen = new Set();
    const starts = g.walk(state.graph, state.kinds).filter((node) => node.kind === "entry" || !g.edgesTo(state.graph, node.id).length);
    const lists = starts.map((node) => {
      const list = element("ol", { className: "outline-list" });
      chain(node.id, list, seen, null);
      return list;
    });
    const active = document.activeElement?.dataset?.focusKey;
    root.replaceChildren(...(state.readonly ? [] : [settings()]), ...(state.graph.nodes.length ? lists : [element("p", { className: "muted", textContent: say("empty") })]), ...(starts.length || state.readonly ? [] : [adder(null)]));
    if (active) root.querySelector(`[data-focus-key="${CSS.escape(active)}"]`)?.focus();
    return undefined;
  }
  function settings() {
    const box = element("details", { className: "outline-item outline-settings", open: openIds.has("") }, element("summary", { className: "outline-head", textContent: say("settings") }));
    const body = box.appendChild(element("div", { className: "outline-body" }));
    const fill = () => { if (box.open && !body.firstChild) body.append(sopCanvas.settingsForm()); };
    box.addEventListener("toggle", () => {
      if (box.open) openIds.add(""); else openIds.delete("");
      fill();
    });
    fill();
    return box;
  }
  // one after the other, until it forks or comes to a node that stands elsewhere already
  function chain(id, list, seen, way) {
    let at = id;
    let from = way;
    while (at) {
      const node = g.nodeOf(state.graph, at);
      if (!node) return;
      if (seen.has(at)) {
        list.append(element("li", { className: "outline-jump" }, say("goes_to", { name: sopCanvas.nameOf(node) })));
        return;
      }
      seen.add(at);
      const outs = g.outsOf(sopCanvas.specOf(node), node);
      const row = item(node);
      list.append(row);
      if (outs.length !== 1) {
        for (const out of outs) row.append(wayList(node, out, seen));
        return;
      }
      from = { from: at, out: outs[0].key };
      at = g.edgeOf(state.graph, at, outs[0].key)?.to;
    }
    if (!state.readonly && from) list.append(element("li", { className: "outline-add" }, adder(from)));
  }
  function wayList(node, out, seen) {
    const box = element("section", { className: "outline-way" }, element("h3", { textContent: out.label }));
    const list = element("ol", { className: "outline-list" });
    const to = g.edgeOf(state.graph, node.id, out.key)?.to;
    if (to) chain(to, list, seen, { from: node.id, out: out.key });
    else if (!state.readonly) list.append(element("li", { className: "outline-add" }, adder({ from: node.id, out: out.key })));
    box.append(list);
    return box;
  }
  function item(node) {
    const spec = sopCanvas.specOf(node);
    const head = element("button", { type: "button", className: `outline-head tone-${spec.tone}`, data: { focusKey: node.id } });
    head.setAttribute("aria-expanded", String(openIds.has(node.id)));
    head.append(element("span", { className: "node-icon" }, sopCanvas.icon(node.kind)), element("span", { className: "node-text" }, element("span", { className: "node-kind", textContent: spec.label }), element("span", { className: "node-title" })), element("span", { className: "outline-numbers muted" }), element("span", { className: "node-mark", hidden: true }));
    const row = element("li", { className: "outline-item", data: { outline: node.id } }, head);
    const body = element("div", { className: "outline-body", hidden: !openIds.has(node.id) });
    row.append(body);
    if (openIds.has(node.id)) fill(body, node);
    head.addEventListener("click", () => {
      const opened = !openIds.delete(node.id) && openIds.add(node.id);
      body.hidden = !opened;
      head.setAttribute("aria-expanded", String(Boolean(opened)));
      if (opened) fill(body, node); else body.replaceChildren();
    });
    name(row, node);
    return row;
  }
  function fill(body, node) {
    body.replaceChildren(sopCanvas.nodeForm(node.id));
    sopCanvas.emit("panel", { node, body });
    if (state.readonly) return;
    const way = g.outsOf(sopCanvas.specOf(node), node)[0];
    body.append(element("div", { className: "outline-acts" },
      ...(way ? [adder({ from: node.id, out: way.key }, say("add_after"))] : []),
      ...mover(node, node.id, "up"), ...mover(node, way && g.edgeOf(state.graph, node.id, way.key)?.to, "down"),
      widget.button(say("remove"), () => {
        openIds.delete(node.id);
        change((graph) => g.remove(graph, state.kinds, [node.id]));
      }, { className: "btn btn-sm btn-ghost-danger" })));
  }
  // up: this node before the one before it; down: the next one before this
  function mover(node, id, where) {
    const before = id && g.movable(state.graph, state.kinds, id);
    if (!before || (where === "down" && before.id !== node.id)) return [];
    return [widget.button(say(where), () => change((graph) => g.moveUp(graph, state.kinds, id)), { className: "btn btn-sm btn-ghost", data: { focusKey: `${where}-${node.id}` } })];
  }
  function adder(way, label = say("add")) {
    const made = widget.button(`+ ${label}`, () => {
      const box = made.getBoundingClientRect();
      sopCanvas.askKind(box.left, box.bottom, (kind) => {
        const node = change((graph) => {
          const made = way ? g.insertAfter(graph, state.kinds, way.from, way.out, kind) : g.add(graph, kind, 0, 0, state.kinds[kind].fresh);
          sopCanvas.arrange(graph, state.kinds);
          return made;
        });
        openIds.add(node.id);
        choose([node.id]);
        draw(true);
        root.querySelector(`[data-outline="${node.id}"] .node-form :is(input:not([type=hidden]), select, textarea)`)?.focus();
      });
    }, { data: { focusKey: way ? `add-${way.from}-${way.out}` : "add" } });
    return made;
  }
  function name(row, node) {
    const wrong = sopCanvas.problemsOf(node.id);
    const doubtful = sopCanvas.warningsOf(node.id);
    const head = row.firstElementChild;
    head.querySelector(".node-title").textContent = node.title || state.summaries[node.id] || (sopCanvas.specOf(node).params.length ? say("not_set") : "");
    const mark = head.querySelector(".node-mark");
    mark.hidden = !wrong.length && !doubtful.length;
    mark.classList.toggle("doubtful", !wrong.length);
    mark.textContent = wrong.length ? say("n_problems", { n: wrong.length }) : "!";
    mark.title = doubtful.map((warning) => warning.message).join("\n");
    if (state.numbers) head.querySelector(".outline-numbers").textContent = sopCanvas.numberWords?.(node.id) ?? "";
  }
  function names() {
    for (const row of root.querySelectorAll("[data-outline]")) {
      const node = g.nodeOf(state.graph, row.dataset.outline);
      if (node) name(row, node);
    }
  }

  on("change", ({ topic }) => draw(topic === "back" || topic === "replace"));
  on("problems", names);
  on("numbers", names);
  function openSettings() {
    openIds.add("");
    draw(true);
    const box = root.querySelector(".outline-settings");
    box.scrollIntoView({ block: "start" });
    box.querySelector("select, input")?.focus();
  }
  Object.assign(sopCanvas, { drawOutline: () => draw(true), openSettings });
})();

// The graph of an SOP without any page: nodes, edges, ways out, what is added, taken out, copied. Others read `sopCanvas.graph`.
"use strict";
(() => {
  const SIZE = { width: 224, height: 76, gapX: 40, gapY: 76, grid: 8 };

  const nodeOf = (graph, id) => graph.nodes.find((node) => node.id === id);
  const edgesFrom = (graph, id) => graph.edges.filter((edge) => edge.from === id);
  const edgesTo = (graph, id) => graph.edges.filter((edge) => edge.to === id);
  const edgeOf = (graph, id, out) => graph.edges.find((edge) => edge.from === id && edge.out === out);
  const snap = (value) => Math.round(value / SIZE.grid) * SIZE.grid;

  // a parameter's value, or the one that stands when nothing is given
  const valueOf = (spec, node, name) => node[name] ?? spec.params.find((param) => param.name === name)?.default;
  function holds(spec, node, when) {
    return Object.entries(when ?? {}).every(([name, wanted]) => {
      const value = valueOf(spec, node, name);
      if (wanted === "empty") return !value?.length;
      if (wanted === "filled") return Boolean(value?.length);
      return wanted.includes(value);
    });
  }
  // ways out of a node: [{key, label}]; some belong to an item of a list (cases, parts)
  function outsOf(spec, node) {
    return (spec?.outs ?? []).flatMap((out) => {
      if (!holds(spec, node, out.when)) return [];
      if (!out.each) return [{ key: out.key, label: out.label }];
      return (valueOf(spec, node, out.each) ?? []).map((item, i) => ({ key: item[out.key] ?? String(i), label: item[out.label] || item[out.key] || String(i + 1) }));
    });
  }

  function freshId(graph, taken = new Set()) {
    let n = graph.nodes.length + 1;
    const used = new Set([...graph.nodes.map((node) => node.id), ...taken]);
    while (used.has(`n${n}`)) n += 1;
    return `n${n}`;
  }
  function add(graph, kind, x, y, fresh = {}) {
    const node = { id: freshId(graph), kind, x: snap(x), y: snap(y), title: "", ...structuredClone(fresh) };
    graph.nodes.push(node);
    return node;
  }
  function connect(graph, from, out, to) {
    if (from === to) return false;
    graph.edges = graph.edges.filter((edge) => !(edge.from === from && edge.out === out));
    if (to) graph.edges.push({ from, out, to });
    return true;
  }
  // a node between a way out and where it led
  function insertAfter(graph, kinds, from, out, kind) {
    const before = nodeOf(graph, from);
    const next = edgeOf(graph, from, out);
    const place = outsOf(kinds[before.kind], before).findIndex((one) => one.key === out);
    const node = add(graph, kind, before.x + Math.max(place, 0) * (SIZE.width + SIZE.gapX), before.y + SIZE.height + SIZE.gapY, kinds[kind].fresh);
    connect(graph, from, out, node.id);
    const first = outsOf(kinds[kind], node)[0];
    if (next && first) connect(graph, node.id, first.key, next.to);
    return node;
  }
  // what led to a node that goes leads on to where its first way out led, and moves up into its place
  function remove(graph, kinds, ids) {
    for (const id of ids) {
      const node = nodeOf(graph, id);
      if (!node) continue;
      const first = outsOf(kinds[node.kind], node)[0];
      const on = first && edgeOf(graph, id, first.key)?.to;
      const hanging = on && edgesTo(graph, id).length ? onlyBelow(graph, id) : [];
      for (const edge of edgesTo(graph, id)) {
        if (on && on !== edge.from) edge.to = on; else graph.edges.splice(graph.edges.indexOf(edge), 1);
      }
      graph.edges = graph.edges.filter((edge) => edge.from !== id);
      graph.nodes.splice(graph.nodes.indexOf(node), 1);
      if (hanging.some((one) => one.id === on)) lift(graph, hanging, nodeOf(graph, on).y - node.y);
    }
  }
  function reach(graph, ids, without) {
    const found = new Set(ids);
    for (const id of found) for (const edge of edgesFrom(graph, id)) if (edge.to !== without) found.add(edge.to);
    return found;
  }
  // nodes to which no way leads but through this one
  function onlyBelow(graph, id) {
    const starts = graph.nodes.filter((node) => node.id !== id && (node.kind === "entry" || !edgesTo(graph, node.id).length));
    const otherwise = reach(graph, starts.map((node) => node.id), id);
    const below = reach(graph, [id]);
    return graph.nodes.filter((node) => node.id !== id && below.has(node.id) && !otherwise.has(node.id));
  }
  // nothing moves when a card would come to lie on another one
  function lift(graph, nodes, by) {
    const on = (one, other) => Math.abs(one.x - other.x) < SIZE.width && Math.abs(one.y - by - other.y) < SIZE.height;
    if (by <= 0 || graph.nodes.some((other) => !nodes.includes(other) && nodes.some((one) => on(one, other)))) return;
    for (const node of nodes) node.y -= by;
  }
  // the node that comes right before this one on a straight way, where the two may change places
  function movable(graph, kinds, id) {
    const [edge, ...others] = edgesTo(graph, id);
    const before = edge && !others.length ? nodeOf(graph, edge.from) : null;
    const out = [before, nodeOf(graph, id)].map((node) => node && outsOf(kinds[node.kind], node));
    if (!before || before.kind === "entry" || out.some((ways) => ways.length !== 1) || edgeOf(graph, id, out[1][0].key)?.to === before.id) return null;
    return before;
  }
  function moveUp(graph, kinds, id) {
    const before = movable(graph, kinds, id);
    if (!before) return;
    const node = nodeOf(graph, id);
    const [first, second] = [before, node].map((one) => outsOf(kinds[one.kind], one)[0].key);
    const on = edgeOf(graph, id, second)?.to;
    for (const edge of edgesTo(graph, before.id)) edge.to = id;
    connect(graph, before.id, first, on);
    connect(graph, id, second, before.id);
    [before.x, before.y, node.x, node.y] = [node.x, node.y, before.x, before.y];
  }
  // edges of ways out that a node does not have any more (a case was taken out) go
  function prune(graph, kinds, node) {
    const keys = new Set(outsOf(kinds[node.kind], node).map((out) => out.key));
    graph.edges = graph.edges.filter((edge) => edge.from !== node.id || keys.has(edge.out));
  }

  function copy(graph, ids) {
    const wanted = new Set(ids);
    return structuredClone({ nodes: graph.nodes.filter((node) => wanted.has(node.id)), edges: graph.edges.filter((edge) => wanted.has(edge.from) && wanted.has(edge.to)) });
  }
  function paste(graph, clip, dx, dy) {
    const ids = {};
    for (const node of clip.nodes) {
      ids[node.id] = freshId(graph);
      graph.nodes.push({ ...structuredClone(node), id: ids[node.id], x: snap(node.x + dx), y: snap(node.y + dy) });
    }
    for (const edge of clip.edges) graph.edges.push({ ...edge, from: ids[edge.from], to: ids[edge.to] });
    return Object.values(ids);
  }

  // nodes in the order in which people walk: from those that nothing leads to, ways out from left to right; the rest after them
  function walk(graph, kinds) {
    const seen = new Set();
    const order = [];
    const starts = graph.nodes.filter((node) => node.kind === "entry" || !edgesTo(graph, node.id).length).sort((a, b) => (b.kind === "entry") - (a.kind === "entry") || a.y - b.y || a.x - b.x);
    const visit = (id) => {
      const node = nodeOf(graph, id);
      if (!node || seen.has(id)) return;
      seen.add(id);
      order.push(node);
      for (const out of outsOf(kinds[node.kind], node)) visit(edgeOf(graph, id, out.key)?.to);
    };
    for (const node of [...starts, ...graph.nodes]) visit(node.id);
    return order;
  }

  globalThis.sopCanvas = { graph: { SIZE, nodeOf, edgesFrom, edgesTo, edgeOf, snap, valueOf, holds, outsOf, freshId, add, connect, insertAfter, remove, movable, moveUp, prune, copy, paste, walk } };
})();

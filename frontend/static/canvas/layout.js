// Places for all nodes: each below what leads to it, ways out side by side, nothing on top of another.
"use strict";
(() => {
  const { graph: g } = sopCanvas;
  const GAP = ""; // room for an edge that leads further down

  function arrange(graph, kinds) {
    const order = g.walk(graph, kinds);
    const level = levels(graph, order);
    const children = tree(graph, kinds, order, level);
    const width = {};
    const measure = (id) => (id === GAP ? 0.6 : width[id] ??= Math.max(1, children[id].reduce((sum, child) => sum + measure(child), 0)));
    const roots = order.filter((node) => !Object.values(children).some((list) => list.includes(node.id)));
    const step = { x: g.SIZE.width + g.SIZE.gapX, y: g.SIZE.height + g.SIZE.gapY };
    const place = (id, left) => {
      const node = g.nodeOf(graph, id);
      let at = left;
      const below = [];
      for (const child of children[id]) {
        if (child !== GAP) place(child, at);
        below.push(child === GAP ? (at - 0.2) * step.x : g.nodeOf(graph, child).x);
        at += measure(child);
      }
      node.x = g.snap(below.length ? (below[0] + below.at(-1)) / 2 : left * step.x);
      node.y = level[id] * step.y;
    };
    let left = 0;
    for (const root of roots) {
      place(root.id, left);
      left += measure(root.id);
    }
    meet(graph, order, level, step);
  }

  // the longest way from a beginning; a way back up does not count
  function levels(graph, order) {
    const at = Object.fromEntries(order.map((node, i) => [node.id, i]));
    const level = Object.fromEntries(order.map((node) => [node.id, 0]));
    const ahead = forward(graph, order);
    for (let round = 0; round < order.length; round += 1) {
      let moved = false;
      for (const node of order) {
        for (const edge of g.edgesFrom(graph, node.id)) {
          if (edge.to in at && ahead.has(edge) && level[edge.to] <= level[node.id]) {
            level[edge.to] = level[node.id] + 1;
            moved = true;
          }
        }
      }
      if (!moved) break;
    }
    return level;
  }
  // edges that close no circle
  function forward(graph, order) {
    const found = new Set();
    const state = {};
    const visit = (id) => {
      state[id] = "open";
      for (const edge of g.edgesFrom(graph, id)) {
        if (state[edge.to] === "open") continue;
        found.add(edge);
        if (!state[edge.to] && g.nodeOf(graph, edge.to)) visit(edge.to);
      }
      state[id] = "done";
    };
    for (const node of order) if (!state[node.id]) visit(node.id);
    return found;
  }
  // each node hangs below one of those that lead to it: the lowest
  function tree(graph, kinds, order, level) {
    const children = Object.fromEntries(order.map((node) => [node.id, []]));
    const taken = new Set();
    for (const node of order) {
      const outs = g.outsOf(kinds[node.kind], node);
      for (const out of outs) {
        const to = g.edgeOf(graph, node.id, out.key)?.to;
        if (!(to in level) || level[to] <= level[node.id]) continue;
        if (taken.has(to) || level[to] !== level[node.id] + 1) {
          if (outs.length > 1) children[node.id].push(GAP);
          continue;
        }
        taken.add(to);
        children[node.id].push(to);
      }
      if (children[node.id].every((child) => child === GAP)) children[node.id] = [];
    }
    return children;
  }
  // where several ways meet the node stands in the middle of them, when there is room
  function meet(graph, order, level, step) {
    for (const node of order) {
      const from = g.edgesTo(graph, node.id).map((edge) => g.nodeOf(graph, edge.from)).filter((one) => one && level[one.id] < level[node.id]);
      if (from.length < 2) continue;
      const x = g.snap((Math.min(...from.map((one) => one.x)) + Math.max(...from.map((one) => one.x))) / 2);
      const dx = x - node.x;
      const chain = below(graph, node, level);
      const others = order.filter((one) => !chain.includes(one));
      const free = chain.every((one) => others.every((other) => level[other.id] !== level[one.id] || Math.abs(other.x - one.x - dx) >= step.x - 1));
      if (free) for (const one of chain) one.x += dx;
    }
  }
  function below(graph, node, level) {
    const found = [node];
    for (let i = 0; i < found.length; i += 1) {
      for (const edge of g.edgesFrom(graph, found[i].id)) {
        const next = g.nodeOf(graph, edge.to);
        if (next && level[next.id] > level[found[i].id] && !found.includes(next)) found.push(next);
      }
    }
    return found;
  }

  sopCanvas.arrange = arrange;
})();

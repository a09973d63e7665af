// What the editor knows: the graph, what is chosen, what was before. Everything that changes the graph goes through `change`.
"use strict";
(() => {
  const MOST = 200;
  const data = JSON.parse(document.querySelector("#canvas-data").textContent);
  const kinds = Object.fromEntries(data.kinds.map((kind) => [kind.kind, kind]));
  const handlers = {};
  const on = (name, act) => (handlers[name] ??= []).push(act);
  const emit = (name, detail) => (handlers[name] ?? []).forEach((act) => act(detail));

  const state = {
    data, kinds, words: data.words, graph: data.graph, chosen: new Set(), edge: null,
    sentences: data.sentences ?? {}, problems: data.problems ?? [], warnings: data.warnings ?? [], summaries: data.summaries ?? {}, numbers: data.numbers ?? null,
    names: data.names ?? {}, readonly: Boolean(data.readonly), past: [], future: [], last: "",
  };

  // `topic`: changes of one topic that follow each other (typing in one field) are one step back
  function change(act, topic = "") {
    if (state.readonly) return undefined;
    if (!topic || topic !== state.last || !state.past.length) {
      state.past.push(JSON.stringify(state.graph));
      if (state.past.length > MOST) state.past.shift();
    }
    state.last = topic;
    state.future.length = 0;
    const made = act(state.graph);
    emit("change", { topic });
    return made;
  }
  function back(from, to) {
    if (!from.length || state.readonly) return;
    to.push(JSON.stringify(state.graph));
    state.graph = JSON.parse(from.pop());
    state.last = "";
    state.chosen = new Set([...state.chosen].filter((id) => sopCanvas.graph.nodeOf(state.graph, id)));
    state.edge = null;
    emit("change", { topic: "back" });
    emit("choose");
  }
  // the graph comes from elsewhere (somebody else's version): there is no way back to what was here before
  function replace(graph) {
    state.graph = graph;
    state.past.length = state.future.length = 0;
    state.chosen.clear();
    state.edge = null;
    emit("change", { topic: "replace" });
    emit("choose");
  }
  function choose(ids, edge = null) {
    state.chosen = new Set(ids);
    state.edge = edge;
    state.last = "";
    emit("choose");
  }

  Object.assign(sopCanvas, {
    state, on, emit, change, replace, choose,
    undo: () => back(state.past, state.future),
    redo: () => back(state.future, state.past),
    // words with numbers: say("n_people", {n: 3})
    say: (key, given = {}) => (state.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => given[name] ?? ""),
    specOf: (node) => kinds[node.kind] ?? { kind: node.kind, label: node.kind, params: [], outs: [] },
    nameOf: (node) => node.title || state.summaries[node.id] || kinds[node.kind]?.label || node.kind,
    problemsOf: (id) => state.problems.filter((problem) => problem.node === id),
    warningsOf: (id) => state.warnings.filter((warning) => warning.node === id),
    element(tag, options = {}, ...children) {
      const { data: dataset, ...rest } = options;
      const made = Object.assign(document.createElement(tag), rest);
      Object.assign(made.dataset, dataset ?? {});
      made.append(...children);
      return made;
    },
    icon: (name) => document.querySelector(`#canvas-icons template[data-icon="${CSS.escape(name)}"]`)?.content.cloneNode(true) ?? document.createDocumentFragment(),
  });
})();

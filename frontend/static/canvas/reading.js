// A canvas that is only read: the panel beside it tells about the chosen node what the server knows.
"use strict";
(() => {
  const { graph: g, state, on, element } = sopCanvas;
  const panel = document.querySelector("#inspector");
  const textOf = (id) => state.data.details?.[id] ?? [];

  // in the list: the same lines below the node
  sopCanvas.nodeForm = (id) => element("div", { className: "node-form", data: { form: id } }, ...textOf(id).map((line) => element("p", { className: "small", textContent: line })));
  sopCanvas.drawInspector = () => {};
  sopCanvas.editNode = (id) => {
    const url = state.data.urls?.node?.replace("NODE", id);
    if (url) htmx.ajax("GET", url, { target: "#drawer-content", source: document.body });
  };
  on("choose", () => {
    if (state.chosen.size !== 1) return;
    const [id] = state.chosen;
    if (panel) draw(id);
  });
  function draw(id) {
    const node = g.nodeOf(state.graph, id);
    panel.querySelector("[data-panel-head]").replaceChildren(element("h2", { textContent: sopCanvas.nameOf(node) }));
    panel.querySelector("[data-panel-body]").replaceChildren(sopCanvas.nodeForm(id));
    panel.classList.add("open");
  }
  document.addEventListener("click", (event) => {
    const row = event.target.closest("[data-show-node]");
    const node = row && g.nodeOf(state.graph, row.dataset.showNode);
    if (!node) return;
    sopCanvas.choose([node.id]);
    sopCanvas.show(node);
  });
  // a click opens what is known about the people there; keys: Enter
  sopCanvas.stage.addEventListener("click", (event) => {
    const card = event.target.closest(".node-card");
    if (card && state.data.urls?.node) sopCanvas.editNode(card.closest("[data-node]").dataset.node);
  });
})();

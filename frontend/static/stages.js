// The stages of the lifecycle: added, moved by drag or keys, taken out and put back; sent as one JSON text in order.
"use strict";
(() => {
  const form = document.querySelector("#stages-form");
  const list = form.querySelector(".stages");
  const last = () => list.querySelector(".stage-last");
  const add = document.querySelector("#stage-add");

  const kept = () => [...list.children].filter((stage) => !stage.classList.contains("stage-off"));

  function full() {
    add.disabled = kept().length >= Number(list.dataset.most);
  }
  add.addEventListener("click", () => {
    const made = document.querySelector("#stage-new").content.firstElementChild.cloneNode(true);
    list.insertBefore(made, last());
    window.ConditionBuilder.attach(made.querySelector(".condition-builder"));
    made.querySelector("[data-part=name]").focus();
    full();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".stage-remove");
    if (!button) return;
    // it stays to be put back until the form is saved
    const off = button.closest(".stage").classList.toggle("stage-off");
    button.setAttribute("aria-pressed", String(off));
    full();
  });
  list.addEventListener("keydown", (event) => {
    const handle = event.target.closest(".stage-handle");
    if (!handle || !event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const stage = handle.closest(".stage");
    if (event.key === "ArrowUp" && stage.previousElementSibling) list.insertBefore(stage, stage.previousElementSibling);
    if (event.key === "ArrowDown" && stage.nextElementSibling !== last()) list.insertBefore(stage.nextElementSibling, stage);
    handle.focus();
  });
  if (window.Sortable) window.Sortable.create(list, { handle: ".stage-handle", animation: 120, draggable: ".stage:not(.stage-last)", onEnd: () => list.append(last()) });

  form.addEventListener("htmx:configRequest", (event) => {
    const stages = kept().map((stage) => ({
      ...(stage.dataset.number ? { number: Number(stage.dataset.number) } : {}),
      name: stage.querySelector("[data-part=name]").value,
      color: stage.querySelector("[data-part=color]").value,
      condition: stage.classList.contains("stage-last") ? { kind: "everybody" } : JSON.parse(stage.querySelector("[name=condition]").value || '{"all": []}'),
    }));
    event.detail.parameters.stages = JSON.stringify(stages);
    delete event.detail.parameters.condition;
  });
  full();
})();

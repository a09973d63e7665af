// What a message says: text with variables and what WeCom allows, attachments, or something from the library.
"use strict";
(() => {
  const { graph: g, state, element, say, widgets, widget } = sopCanvas;
  const perCustomer = /\{\s*(客户昵称|客户姓名|客户备注|昵称)\s*(\||\})/;

  widgets.message = (param, value, set) => {
    const area = element("textarea", { className: "form-control form-control-sm", rows: 5, value: value ?? "", placeholder: say("message_hint"), data: { contentText: "", wording: "warnings" } });
    const left = document.querySelector("#room-template").content.cloneNode(true).firstElementChild;
    const warning = element("div", { className: "field-error", hidden: true, textContent: say("no_customer") });
    const check = () => {
      room(left, area.value);
      warning.hidden = !perCustomer.test(area.value);
    };
    area.addEventListener("input", () => { check(); set(area.value); });
    const tools = element("div", { className: "step-tools" }, ...state.data.variables.map((name) => widget.button(name, () => {
      area.setRangeText(`{${name}}`, area.selectionStart, area.selectionEnd, "end");
      area.focus();
      area.dispatchEvent(new Event("input"));
    }, { className: "chip chip-blue" })), left);
    check();
    setTimeout(() => wording.look(area)); // once it stands in the form, with its attachments
    return element("div", {}, area, tools, warning);
  };
  widgets.attachments = (param, value, set) => {
    const box = document.querySelector("#attachments-template").content.cloneNode(true).firstElementChild;
    const hidden = box.querySelector("input[type=hidden]");
    hidden.value = JSON.stringify(value ?? []);
    const holder = element("div", {}, box);
    attachments.ready(holder);
    box.addEventListener("attachmentschange", () => set(JSON.parse(hidden.value || "[]")));
    return holder;
  };
  // the message to oneself first, as it is drawn at this moment
  sopCanvas.testOf = ({ id, kind }) => {
    if (!["touch", "group"].includes(kind) || !state.data.urls?.test) return [];
    const send = () => htmx.ajax("POST", state.data.urls.test, { target: "#modal-content", source: document.body, values: { node: JSON.stringify(g.nodeOf(state.graph, id)) } });
    return [element("div", { className: "field" }, widget.button(say("test_message"), send, { className: "btn btn-sm" }))];
  };
  // of the library an item is chosen, not its words: what is in force when it is sent goes out
  widgets.content = (param, value, set) => {
    const box = document.querySelector("#content-template").content.cloneNode(true).firstElementChild;
    const names = state.names.content ??= {};
    box.querySelector("[data-content-version]").value = value ?? "";
    box.querySelector("[data-content-picked]").hidden = !value;
    box.querySelector("[data-content-name]").textContent = names[value] ?? (value ? `#${value}` : "");
    box.addEventListener("contentpicked", (event) => {
      names[event.detail.content_id] = event.detail.name;
      set(Number(event.detail.content_id), true);
    });
    box.addEventListener("contentcleared", () => set(null, true));
    return element("div", {}, box, ...(value ? [element("p", { className: "form-hint", textContent: say("from_library") })] : []));
  };
})();

// The form of a page in its editor: questions that come, go and move; page-edit.js holds the block.
"use strict";
(() => {
  const words = document.querySelector("#form-words").dataset;
  const kinds = JSON.parse(document.querySelector("#form-kinds").textContent);
  const targets = JSON.parse(document.querySelector("#form-fields").textContent);
  const make = (tag, options = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), options);
    made.append(...children);
    return made;
  };
  const hasOptions = (kind) => kind === "one" || kind === "many";
  const fresh = (questions) => `q${1 + Math.max(0, ...questions.map((q) => Number(q.key.slice(1)) || 0))}`;

  function empty() {
    return { type: "form", label: "", thanks: "", questions: [{ key: "q1", kind: "one", label: "", options: [], needed: true, field: "" }] };
  }
  function field(label, input) {
    input.setAttribute("aria-label", label);
    input.placeholder = label;
    return input;
  }
  function button(text, label, act) {
    const made = make("button", { type: "button", className: "btn-icon btn-icon-sm", textContent: text, title: label });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }
  function edit(block, changed) {
    const box = make("div", { className: "stack" });
    function move(from, to) {
      if (to < 0 || to >= block.questions.length) return;
      block.questions.splice(to, 0, ...block.questions.splice(from, 1));
      draw();
      box.children[to].querySelector("input").focus();
    }
    function select(options, value, set, label) {
      const made = make("select", { className: "form-select" }, ...options.map(([key, name]) => make("option", { value: key, textContent: name, selected: key === value })));
      made.setAttribute("aria-label", label);
      made.addEventListener("change", () => set(made.value));
      return made;
    }
    function question(q, n) {
      const label = field(words.question, make("input", { className: "form-control", value: q.label, maxLength: 60 }));
      label.addEventListener("input", () => { q.label = label.value; changed(); });
      const needed = make("input", { type: "checkbox", className: "form-check-input", checked: q.needed });
      needed.addEventListener("change", () => { q.needed = needed.checked; changed(); });
      const row = make("div", { className: "question-row" },
        select(kinds, q.kind, (kind) => { q.kind = kind; if (hasOptions(kind)) q.options ??= []; draw(); }, words.kind),
        select([["", words.nofield], ...targets], q.field, (key) => { q.field = key; changed(); }, words.field),
        make("label", { className: "form-check" }, needed, make("span", { className: "form-check-label", textContent: words.needed })),
        make("span", { className: "question-acts" }, button("↑", words.up, () => move(n, n - 1)), button("↓", words.down, () => move(n, n + 1)), button("×", words.remove, () => { block.questions.splice(n, 1); draw(); })));
      const made = make("div", { className: "question-edit" }, label, row);
      if (hasOptions(q.kind)) {
        const options = field(words.options, make("textarea", { className: "form-control", rows: Math.max(3, (q.options ?? []).length), value: (q.options ?? []).join("\n") }));
        options.addEventListener("input", () => { q.options = options.value.split("\n"); changed(); });
        made.append(options);
      }
      return made;
    }
    function draw() {
      const add = make("button", { type: "button", className: "btn btn-sm", textContent: `+ ${words.add}` });
      add.addEventListener("click", () => {
        block.questions.push({ key: fresh(block.questions), kind: "text", label: "", needed: false, field: "" });
        draw();
        box.children[block.questions.length - 1].querySelector("input").focus();
      });
      const label = field(words.label, make("input", { className: "form-control", value: block.label, maxLength: 20 }));
      label.addEventListener("input", () => { block.label = label.value; changed(); });
      const thanks = field(words.thanks, make("input", { className: "form-control", value: block.thanks, maxLength: 200 }));
      thanks.addEventListener("input", () => { block.thanks = thanks.value; changed(); });
      box.replaceChildren(...block.questions.map(question), make("div", {}, add), make("div", { className: "form-row" }, label, thanks));
      changed();
    }
    draw();
    return box;
  }
  window.PageForm = { empty, edit };
})();

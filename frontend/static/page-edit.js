// The editor of a page: blocks that come, go and move; the hidden field holds them as content/pages.py wants them.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const form = $("[data-page-editor]");
  const list = $("#blocks");
  const words = $("#block-words").dataset;
  const preview = $("#page-preview");
  const page = { title: "", intro: "", cover: null, blocks: [], ...JSON.parse($("#page-data").textContent) };
  if (!Array.isArray(page.blocks)) page.blocks = [];
  // what the server has refused, at its block until somebody writes there
  const wrong = new Map(Object.entries(JSON.parse($("#page-wrong").textContent)).map(([n, words]) => [page.blocks[n], words]));
  const token = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  const make = (tag, className = "", text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

  // ---- fields of each type: [name, words, "input" | "area", most characters]
  const fields = {
    text: [["text", words.text, "area", 5000, words.hint]],
    heading: [["text", words.heading, "input", 60]],
    quote: [["text", words.quote, "area", 1000]],
    list: [["items", words.items, "area", 15000]],
    image: [["caption", words.caption, "input", 100]],
    button: [["label", words.label, "input", 20], ["url", "https://", "input", 1000]],
    line: [],
    form: [],
  };
  const empty = (type) => ({ type, ...(type === "list" ? { items: [] } : type === "image" ? { file_id: null, caption: "" } : type === "button" ? { label: "", url: "" } : type === "line" ? {} : type === "form" ? window.PageForm.empty() : { text: "" }) });

  function act(icon, label, run) {
    const button = make("button", "btn-icon btn-icon-sm", icon);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.title = label;
    button.addEventListener("click", run);
    return button;
  }
  function move(from, to) {
    if (to < 0 || to >= page.blocks.length) return;
    page.blocks.splice(to, 0, ...page.blocks.splice(from, 1));
    draw();
    list.children[to]?.querySelector("textarea, input, button")?.focus();
  }
  function draw() {
    list.replaceChildren(...page.blocks.map((block, n) => {
      const card = make("section", "card block");
      const head = make("header", "card-head");
      head.append(make("h2", "small muted", `${n + 1} · ${words[block.type] || block.type}`));
      const acts = make("div", "card-head-actions");
      acts.append(act("↑", words.up, () => move(n, n - 1)), act("↓", words.down, () => move(n, n + 1)), act("×", words.remove, () => { page.blocks.splice(n, 1); draw(); }));
      head.append(acts);
      card.append(head);
      const body = make("div", "card-body");
      if (block.type === "image") body.append(picture(block.file_id, (id) => { block.file_id = id; changed(); }));
      for (const [name, label, kind, most, hint] of fields[block.type] || []) {
        const field = make(kind === "area" ? "textarea" : "input", "form-control");
        field.maxLength = most;
        if (kind === "area") field.rows = Math.min(12, 3 + Math.floor(String(block[name] || "").length / 60));
        field.placeholder = label;
        field.setAttribute("aria-label", label);
        field.value = name === "items" ? (block.items || []).join("\n") : block[name] || "";
        field.addEventListener("input", () => { block[name] = name === "items" ? field.value.split("\n") : field.value; changed(); });
        body.append(field);
        if (hint) body.append(make("div", "form-hint", hint));
      }
      if (block.type === "form") body.append(window.PageForm.edit(block, changed));
      if (block.type === "line") body.append(document.createElement("hr"));
      if (wrong.has(block)) {
        const said = Object.assign(make("div", "field-error", wrong.get(block)), { role: "alert" });
        card.classList.add("card-bad");
        body.append(said);
        body.addEventListener("input", () => { wrong.delete(block); card.classList.remove("card-bad"); said.remove(); });
      }
      card.append(body);
      return card;
    }));
    changed();
  }

  // ---- pictures
  function picture(fileId, chosen) {
    const box = make("label", "block-picture");
    const input = Object.assign(make("input", "visually-hidden"), { type: "file", accept: "image/png,image/jpeg" });
    const note = make("span", "btn btn-sm", fileId ? words.change : words.choose);
    const show = (id) => {
      box.querySelector("img")?.remove();
      if (id) box.prepend(Object.assign(document.createElement("img"), { src: `${words.upload}${id}/`, alt: "" }));
      note.textContent = id ? words.change : words.choose;
    };
    input.addEventListener("change", async () => {
      if (!input.files.length) return;
      note.textContent = words.busy;
      const body = new FormData();
      body.append("file", input.files[0]);
      body.append("kind", "image");
      let found;
      try {
        const answer = await fetch(words.upload, { method: "POST", body, credentials: "same-origin", headers: { "X-CSRFToken": token(), Accept: "application/json" } });
        found = await answer.json();
      } catch {
        found = {};
      }
      if (!found.id) { note.textContent = found.error?.message || words.failed; return; }
      chosen(found.id);
      show(found.id);
    });
    box.append(input, note);
    show(fileId);
    return box;
  }

  // ---- what is sent, and the phone
  let timer = 0;
  function changed() {
    $("[name=page]", form).value = JSON.stringify(page);
    clearTimeout(timer);
    timer = setTimeout(() => htmx.ajax("POST", preview.dataset.url, { target: preview, swap: "innerHTML", values: { page: $("[name=page]", form).value } }), 500);
  }
  for (const field of form.querySelectorAll("[data-page-field]")) {
    field.value = page[field.dataset.pageField] || "";
    field.addEventListener("input", () => { page[field.dataset.pageField] = field.value; changed(); });
  }
  const cover = $("[data-cover]", form);
  cover.append(picture(page.cover, (id) => { page.cover = id; changed(); }));
  form.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add]");
    if (!add) return;
    page.blocks.push(empty(add.dataset.add));
    draw();
    list.lastElementChild.querySelector("textarea, input")?.focus();
  });
  preview.addEventListener("click", (event) => { if (event.target.closest("a")) event.preventDefault(); });
  draw();
  if (!$(".field-error", form.querySelector(".card"))) $(".card-bad", list)?.querySelector("textarea, input:not([type=file]), button")?.focus();
})();

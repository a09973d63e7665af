// A long <select data-search-select="words when nothing is found"> gets a field to search in. The select stays where the form
// reads it; short ones are left as they are. Keys: arrows, Enter, Escape, Home and End in the list once it is open.
"use strict";
(() => {
  const LEAST = 8;
  let n = 0;

  function ready(select) {
    if (select.dataset.searchReady || select.multiple || select.options.length < LEAST) return;
    select.dataset.searchReady = "1";
    const id = `search-select-${(n += 1)}`;
    const box = Object.assign(document.createElement("div"), { className: "search-select" });
    const field = Object.assign(document.createElement("input"), { type: "text", className: "form-select", autocomplete: "off", spellcheck: false });
    const list = Object.assign(document.createElement("ul"), { id, className: "search-select-list", hidden: true });
    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id };
    for (const [name, value] of Object.entries(attributes)) field.setAttribute(name, value);
    for (const name of ["aria-describedby", "aria-invalid"]) if (select.hasAttribute(name)) field.setAttribute(name, select.getAttribute(name));
    field.classList.toggle("is-invalid", select.classList.contains("is-invalid"));
    const label = select.labels?.[0];
    const words = select.getAttribute("aria-label") || label?.querySelector(".form-label")?.textContent || label?.textContent || "";
    field.setAttribute("aria-label", words.trim());
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", words.trim());
    if (label?.htmlFor) {
      field.id = `${id}-field`;
      label.htmlFor = field.id;
    }
    select.before(box);
    box.append(field, list, select);
    select.classList.add("visually-hidden");
    select.tabIndex = -1;
    select.setAttribute("aria-hidden", "true");
    let active = -1;

    const chosen = () => select.selectedOptions[0];
    const show = () => { field.value = chosen()?.textContent.trim() ?? ""; };
    const rows = () => [...list.querySelectorAll("[role=option]")];
    function mark(at) {
      const found = rows();
      active = found.length ? Math.max(0, Math.min(at, found.length - 1)) : -1;
      found.forEach((row, i) => row.classList.toggle("active", i === active));
      const row = found[active];
      if (row) {
        field.setAttribute("aria-activedescendant", row.id);
        row.scrollIntoView({ block: "nearest" });
      } else field.removeAttribute("aria-activedescendant");
    }
    function draw(text) {
      const parts = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
      const found = [...select.options].filter((option) => parts.every((part) => option.textContent.toLowerCase().includes(part)));
      list.replaceChildren(...found.map((option) => {
        const row = Object.assign(document.createElement("li"), { id: `${id}-${option.index}`, textContent: option.textContent.trim() || "—" });
        row.dataset.index = option.index;
        row.setAttribute("role", "option");
        row.setAttribute("aria-selected", String(option.selected));
        return row;
      }));
      if (!found.length) list.append(Object.assign(document.createElement("li"), { className: "muted", textContent: select.dataset.searchSelect }));
      mark(parts.length ? 0 : found.findIndex((option) => option.selected));
    }
    const isOpen = () => !list.hidden;
    function open(text) {
      list.hidden = false;
      field.setAttribute("aria-expanded", "true");
      draw(text);
    }
    function close() {
      list.hidden = true;
      field.setAttribute("aria-expanded", "false");
      field.removeAttribute("aria-activedescendant");
      show();
    }
    function pick(row) {
      const index = Number(row.dataset.index);
      const isNew = select.selectedIndex !== index;
      select.selectedIndex = index;
      close();
      if (isNew) for (const name of ["input", "change"]) select.dispatchEvent(new Event(name, { bubbles: true }));
    }

    field.addEventListener("focus", () => field.select());
    field.addEventListener("mousedown", () => { if (!isOpen()) open(""); });
    field.addEventListener("input", (event) => { event.stopPropagation(); open(field.value); }); // what is typed is not the choice
    field.addEventListener("change", (event) => event.stopPropagation());
    field.addEventListener("blur", () => { if (isOpen()) close(); });
    field.addEventListener("keydown", (event) => {
      const moves = { ArrowDown: 1, ArrowUp: -1 };
      if (event.key in moves) {
        event.preventDefault();
        if (isOpen()) mark(active + moves[event.key]);
        else open("");
      } else if (event.key === "Enter") {
        event.preventDefault(); // never the form
        const row = rows()[active];
        if (isOpen() && row) pick(row);
      } else if (event.key === "Escape" && isOpen()) {
        event.preventDefault();
        event.stopPropagation(); // the list, not the dialog around it
        close();
      }
    });
    list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const row = event.target.closest("[role=option]");
      if (row) pick(row);
    });
    list.addEventListener("click", (event) => event.preventDefault()); // inside a label
    select.addEventListener("change", () => { if (!isOpen()) show(); });
    show();
  }

  const all = (root) => root.querySelectorAll?.("select[data-search-select]").forEach(ready);
  all(document);
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) if (node.nodeType === 1) node.matches("select[data-search-select]") ? ready(node) : all(node);
  }).observe(document.body, { childList: true, subtree: true });
})();

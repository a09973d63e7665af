// Fields that choose among the brand's own things, and the condition, which has a dialog with the builder of segments in it.
"use strict";
(() => {
  const { state, on, element, say, widgets, widget } = sopCanvas;

  async function look(source, text) {
    const answer = await fetch(`${state.data.urls.choices}?source=${encodeURIComponent(source)}&q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
    return answer.ok ? (await answer.json()).results : [];
  }
  // chips of what is chosen, a search below; `most` 1: one value instead of a list
  function chooser(source, most = Infinity) {
    return (param, value, set) => choose(param.source ?? source, most, value, set);
  }
  function choose(source, most, value, set) {
    const one = most === 1;
    const names = state.names[source] ??= {};
    const box = element("div", { className: "canvas-chooser" });
    const chips = element("div", { className: "chips" });
    const search = element("input", { type: "search", className: "form-control form-control-sm", placeholder: say(`find_${source}`), autocomplete: "off" });
    const list = element("div", { className: "canvas-choices", hidden: true });
    list.setAttribute("role", "listbox");
    let chosen = one ? (value ? [value] : []) : [...(value ?? [])];
    const put = (ids) => {
      chosen = ids;
      set(one ? ids[0] ?? null : ids);
      draw();
    };
    function draw() {
      chips.replaceChildren(...chosen.map((id) => {
        const chip = element("span", { className: "chip chip-blue", textContent: names[id] ?? `#${id}` });
        const gone = widget.button("×", () => put(chosen.filter((other) => other !== id)), { className: "chip-remove", ariaLabel: `${say("remove")}: ${names[id] ?? id}` });
        chip.append(gone);
        return chip;
      }));
      search.hidden = one && chosen.length > 0;
    }
    async function fill() {
      const found = await look(source, search.value);
      list.replaceChildren(...found.filter(([id]) => !chosen.includes(id)).map(([id, name]) => {
        const row = widget.button(name, () => {
          names[id] = name;
          search.value = "";
          list.hidden = true;
          put(one ? [id] : [...chosen, id]);
          search.focus();
        }, { className: "canvas-choice", tabIndex: -1 });
        row.setAttribute("role", "option");
        return row;
      }));
      if (!list.children.length) list.append(element("div", { className: "canvas-choice muted", textContent: say("none_found") }));
      list.hidden = false;
    }
    search.addEventListener("focus", fill);
    search.addEventListener("input", () => { clearTimeout(search.timer); search.timer = setTimeout(fill, 150); });
    box.addEventListener("keydown", (event) => {
      const rows = [...list.querySelectorAll("button")];
      const at = rows.indexOf(document.activeElement);
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        (rows[at + (event.key === "ArrowDown" ? 1 : -1)] ?? search).focus();
      } else if (event.key === "Enter" && event.target === search) {
        event.preventDefault();
        rows[0]?.click();
      } else if (event.key === "Escape" && !list.hidden) {
        event.stopPropagation();
        list.hidden = true;
        search.focus();
      }
    });
    box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) list.hidden = true; });
    box.append(chips, search, list);
    draw();
    return box;
  }
  Object.assign(widgets, {
    any: chooser(), tags: chooser("tags"), codes: chooser("codes"), segment: chooser("segments", 1), group_code: chooser("group_codes", 1),
    value: (param, value, set, holder) => {
      const field = state.data.fields.find((one) => one.key === holder.field);
      if (field?.options.length) return widget.select(field.options.map((one) => [one, one]), value, set);
      return widget.input({ number: "number", date: "date" }[field?.type] ?? "text", value, set, { maxLength: param.most });
    },
    field: (param, value, set) => widget.select(state.data.fields.map((one) => [one.key, one.label]), value, set),
    date_field: (param, value, set) => widget.select(state.data.date_fields, value, set),
    object: () => element("div", { className: "muted small", textContent: say("slot") }),
  });

  // ---- condition: its sentence and a dialog

  const dialog = document.querySelector("#condition-dialog");
  let editing = null;
  const sentenceOf = (value) => state.sentences?.[JSON.stringify(value)] ?? "";
  widgets.condition = (param, value, set) => {
    const box = element("div", { className: "canvas-condition" });
    const words = element("p", { className: "small" });
    const given = () => box.value && Object.keys(box.value).length;
    box.value = value;
    const write = () => {
      words.textContent = given() ? sentenceOf(box.value) || say("condition_set") : say("condition_none");
      words.classList.toggle("muted", !given());
      clear.hidden = !given() || state.readonly;
    };
    const put = (next) => { box.value = next; set(next); write(); };
    const open = widget.button(say("condition_edit"), () => edit(box.value, put), { className: "btn btn-sm", disabled: state.readonly });
    const clear = widget.button(say("remove"), () => put(null), { className: "btn btn-sm btn-link" });
    box.append(words, element("div", { className: "btn-list" }, open, clear));
    box.rewrite = write;
    write();
    return box;
  };
  on("problems", () => document.querySelectorAll(".canvas-condition").forEach((box) => box.rewrite()));

  function edit(value, put) {
    editing = put;
    const place = dialog.querySelector("[data-condition-place]");
    place.replaceChildren(document.querySelector("#condition-template").content.cloneNode(true));
    const box = place.querySelector(".condition-builder");
    box.querySelector("input[type=hidden]").value = value && Object.keys(value).length ? JSON.stringify(value) : "";
    ConditionBuilder.attach(box);
    tabler.Modal.getOrCreateInstance(dialog).show();
  }
  dialog?.querySelector("[data-condition-ok]").addEventListener("click", () => {
    const raw = dialog.querySelector(".condition-builder input[type=hidden]").value;
    editing?.(raw ? JSON.parse(raw) : null);
    editing = null;
    tabler.Modal.getOrCreateInstance(dialog).hide();
  });
})();

// The builder of a condition: nested groups, dragged or moved by keys, counted while they are edited. It takes hold of each
// `.condition-builder` (templates/tagging/conditions/_builder.html), also of those that htmx brings; a script that makes one
// calls `ConditionBuilder.attach(box)` and listens for `condition-change` on it.
"use strict";
(() => {
  const fieldNeeds = { eq: "text", contains: "text", starts: "text", in: "texts", compare: "compare", window: "window" };
  const metas = {};
  const load = (url) => metas[url] ??= fetch(url).then((answer) => answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status))));

  // ---- a tree of {mode, not, items} and {leaf, not}, and the JSON that the server reads

  function read(raw) {
    if (raw.not) return { ...read(raw.not), not: true };
    for (const mode of ["all", "any"]) if (raw[mode]) return { mode, items: raw[mode].map(read) };
    return { leaf: raw };
  }
  function write(node) {
    const plain = node.leaf ? node.leaf : { [node.mode]: node.items.map(write) };
    return node.not ? { not: plain } : plain;
  }
  function element(tag, options = {}, ...children) {
    const made = Object.assign(document.createElement(tag), options);
    made.append(...children);
    return made;
  }
  function button(label, act, options = {}) {
    const made = element("button", { type: "button", className: "btn btn-sm", textContent: label, ...options });
    made.addEventListener("click", act);
    return made;
  }
  function select(options, value, act, label) {
    const made = element("select", { className: "form-select form-select-sm" });
    made.setAttribute("aria-label", label);
    made.append(...options.map(([key, name]) => element("option", { value: key, textContent: name, selected: String(key) === String(value ?? "") })));
    made.addEventListener("change", () => act(made.value));
    return made;
  }
  function input(type, value, act, label) {
    const made = element("input", { type, className: "form-control form-control-sm", value: value ?? "" });
    made.setAttribute("aria-label", label);
    if (type === "number") made.step = "any";
    made.addEventListener("change", () => act(type === "number" ? Number(made.value) : made.value));
    return made;
  }


  function begin(home, data) {
    const root = home.querySelector(".builder");
    const field = home.querySelector("input[type=hidden]");
    // what is found may be shown elsewhere on the page
    const result = home.dataset.result ? document.querySelector(home.dataset.result) : home;
    const part = (name) => (home.querySelector(`.builder-${name}`) ?? result?.querySelector(`.builder-${name}`));
    const text = data.text;
    const kinds = Object.fromEntries(data.kinds.map((kind) => [kind.kind, kind]));
    const fields = Object.fromEntries(data.fields.map((one) => [one.key, one]));
    const word = (key) => data.words[key] ?? key;
    const labelOf = (name) => text[`label_${name}`] ?? word(name);
    // the server counts money in fen, people in yuan
    const isMoney = (leaf) => data.money.includes(leaf.measure);
    const names = {};
    let problems = {};
    const given = field.value ? JSON.parse(field.value) : { all: [] };
    let tree = read(given.kind || given.not ? { all: [given] } : given);
    const past = [];
    const future = [];

    function change(act) {
      past.push(JSON.stringify(tree));
      if (past.length > 100) past.shift();
      future.length = 0;
      act();
      changed();
    }
    function step(from, to) {
      if (!from.length) return;
      to.push(JSON.stringify(tree));
      tree = JSON.parse(from.pop());
      changed();
    }

    // ---- drawing

    const begins = { compare: (param, leaf) => ({ op: "ge", value: leaf && isMoney(leaf) ? 100 : 1 }), window: (param) => windowOf(param.options[0]) };
    const fresh = new WeakSet(); // conditions that nobody has filled in yet: nothing is wrong with them so far
    const placeOf = (node, path) => (node.not ? `${path}.0`.replace(/^\./, "") : path); // as the server counts: "not" is a step
    const said = (words) => element("div", { className: "field-error", textContent: [...new Set(words)].join(" · ") });

    function drawNode(node, parent, path) {
      const box = element("div", { className: node.leaf ? "builder-leaf" : "builder-group" });
      box.dataset.path = path;
      const head = element("div", { className: "builder-head" });
      if (parent) {
        const handle = element("span", { className: "builder-handle", textContent: "⠿", tabIndex: 0, title: text.drag });
        handle.setAttribute("role", "button");
        handle.setAttribute("aria-label", text.drag);
        handle.addEventListener("keydown", (event) => {
          const act = event.altKey && { ArrowUp: () => move(parent, node, -1), ArrowDown: () => move(parent, node, 1), ArrowLeft: () => moveOut(parent, node), ArrowRight: () => moveIn(parent, node) }[event.key];
          if (!act) return;
          event.preventDefault();
          act();
        });
        head.append(handle);
      }
      const not = element("label", { className: "builder-not" });
      const tick = element("input", { type: "checkbox", className: "form-check-input", checked: Boolean(node.not) });
      tick.addEventListener("change", () => change(() => { node.not = tick.checked; }));
      not.append(tick, ` ${text.not}`);
      head.append(not);
      if (node.leaf) drawLeaf(node, head);
      else head.append(select([["all", text.all], ["any", text.any]], node.mode, (value) => change(() => { node.mode = value; }), text.group));
      if (parent) head.append(button("×", () => change(() => { parent.items.splice(parent.items.indexOf(node), 1); goTo = [parent, ":scope > .builder-add button"]; }), { className: "btn-icon builder-remove", title: text.remove, ariaLabel: text.remove }));
      box.append(head);
      const here = problems[placeOf(node, path)];
      box.classList.toggle("is-wrong", Boolean(here));
      if (here && !fresh.has(node.leaf)) box.append(said(here));
      if (!node.leaf) drawItems(node, box, path);
      return box;
    }
    function drawItems(node, box, path) {
      const list = element("div", { className: "builder-items" });
      list.items = node.items;
      const inner = node.not ? `${path}.0` : path;
      node.items.forEach((item, i) => {
        const drawn = drawNode(item, node, `${inner}.${i}`.replace(/^\./, ""));
        drawn.node = item;
        list.append(drawn);
      });
      box.append(list, element("div", { className: "builder-add" },
        button(`+ ${text.add}`, () => {
          const leaf = { kind: "tags", mode: "any" };
          fresh.add(leaf);
          add(node, { leaf });
        }),
        button(`+ ${text.group}`, () => add(node, { mode: "any", items: [] }))));
      if (window.Sortable) window.Sortable.create(list, { group: "conditions", handle: ".builder-handle", animation: 120, onEnd: dropped });
    }
    function add(node, item) {
      goTo = [item, "select"];
      change(() => { node.items.push(item); });
    }
    function dropped(event) {
      const node = event.item.node;
      const from = event.from.items;
      const to = event.to.items;
      change(() => {
        from.splice(from.indexOf(node), 1);
        to.splice(event.newIndex, 0, node);
      });
    }
    function move(parent, node, by) {
      const at = parent.items.indexOf(node);
      if (at + by < 0 || at + by >= parent.items.length) return;
      change(() => { parent.items.splice(at, 1); parent.items.splice(at + by, 0, node); });
    }
    // by keys what dragging does between groups: into the one above (or below), and out again behind it
    function moveIn(parent, node) {
      const at = parent.items.indexOf(node);
      const group = [parent.items[at - 1], parent.items[at + 1]].find((one) => one?.items);
      if (!group) return;
      goTo = [node, ".builder-handle"];
      change(() => { parent.items.splice(at, 1); if (group === parent.items[at]) group.items.unshift(node); else group.items.push(node); });
    }
    function moveOut(parent, node) {
      const above = holderOf(parent);
      if (!above) return;
      goTo = [node, ".builder-handle"];
      change(() => { parent.items.splice(parent.items.indexOf(node), 1); above.items.splice(above.items.indexOf(parent) + 1, 0, node); });
    }
    function holderOf(node, from = tree) {
      for (const item of from.items ?? []) {
        if (item === node) return from;
        const found = holderOf(node, item);
        if (found) return found;
      }
      return null;
    }

    function drawLeaf(node, head) {
      const leaf = node.leaf;
      const made = element("select", { className: "form-select form-select-sm" });
      made.setAttribute("aria-label", text.add);
      const groups = {};
      for (const kind of data.kinds) {
        groups[kind.group] ??= element("optgroup", { label: kind.group });
        groups[kind.group].append(element("option", { value: kind.kind, textContent: kind.label, selected: kind.kind === leaf.kind }));
      }
      made.append(...Object.values(groups));
      made.addEventListener("change", () => change(() => { node.leaf = { kind: made.value }; fresh.add(node.leaf); }));
      head.append(made);
      head.append(...shown(leaf).map((param) => drawParam(leaf, param)));
    }
    function shown(leaf) {
      return (kinds[leaf.kind]?.params ?? []).filter((param) =>
        (leaf.kind !== "field" || ["key", "test", fieldNeeds[leaf.test]].includes(param.name))
        && (param.name !== "n" || leaf.mode === "at_least") && belongs(leaf, leaf.event, param));
    }
    // of what an event may be about, each kind of event has its own
    function belongs(leaf, event, param) {
      return leaf.kind !== "event" || !["ids", "texts"].includes(param.type) || (data.event_params[event] ?? []).includes(param.name);
    }
    function drawParam(leaf, param) {
      const value = leaf[param.name] ?? param.default;
      const set = (given) => change(() => { fresh.delete(leaf); if (given === "" || given === undefined) delete leaf[param.name]; else leaf[param.name] = given; });
      switch (param.type) {
        case "ids": return chooser(param.source, value ?? [], (ids) => set(ids), true);
        case "texts": return leaf.kind === "field" ? ticks(fields[leaf.key]?.options ?? [], value ?? [], set) : chooser(param.source, value ?? [], set, false);
        case "words": return ticks(param.options, value ?? [], set);
        case "word": {
          const options = param.name === "test" ? fields[leaf.key]?.tests ?? [] : param.options;
          // one step for the undo: the event, and what belonged to the one before
          if (param.name === "measure") return select([["", text.choose], ...options.map((key) => [key, word(key)])], value, (given) => measured(leaf, given), labelOf(param.name));
          const chosen = param.name !== "event" ? set : (event) => change(() => {
            fresh.delete(leaf);
            for (const other of kinds[leaf.kind].params) if (!belongs(leaf, event, other)) delete leaf[other.name];
            if (event) leaf.event = event; else delete leaf.event;
          });
          return select([["", text.choose], ...options.map((key) => [key, word(key)])], value, chosen, labelOf(param.name));
        }
        case "text": return param.source === "fields"
          ? select([["", text.choose], ...data.fields.map((field) => [field.key, field.label])], value, set, labelOf(param.name))
          : input("text", value, set, labelOf(param.name));
        case "bool": return select([["true", text.yes], ["false", text.no]], value ?? true, (given) => set(given === "true"), labelOf(param.name));
        case "int": return input("number", value, set, labelOf(param.name));
        case "compare": return compare(value ?? begins.compare(param, leaf), set, leaf);
        case "window": return span(param, value, set);
        default: return document.createTextNode("");
      }
    }
    function ticks(options, chosen, set) {
      return element("span", { className: "builder-ticks" }, ...options.map((key) => {
        const tick = element("input", { type: "checkbox", className: "form-check-input", checked: chosen.includes(key) });
        tick.addEventListener("change", () => set(tick.checked ? [...chosen, key] : chosen.filter((other) => other !== key)));
        return element("label", {}, tick, ` ${word(key)}`);
      }));
    }
    // A number stays what a person reads when what is counted changes: 3 orders become 3 yuan.
    function measured(leaf, measure) {
      change(() => {
        const before = isMoney(leaf);
        fresh.delete(leaf);
        if (measure) leaf.measure = measure; else delete leaf.measure;
        const factor = (isMoney(leaf) ? 100 : 1) / (before ? 100 : 1);
        if (factor === 1) return;
        for (const param of kinds[leaf.kind].params.filter((one) => one.type === "compare" && (leaf[one.name] ?? one.default))) {
          const given = leaf[param.name] ?? param.default;
          leaf[param.name] = { ...given, value: Math.round(given.value * factor), ...(given.to === undefined ? {} : { to: Math.round(given.to * factor) }) };
        }
      });
    }
    function compare(given, set, leaf) {
      const money = isMoney(leaf);
      const shownAs = (number) => (money && number !== undefined ? number / 100 : number);
      const kept = (number) => (isMoney(leaf) ? Math.round(number * 100) : number); // as it is when the number is taken
      const parts = [
        select(data.ops.map((op) => [op, word(op)]), given.op, (op) => set({ ...given, op, ...(op === "between" ? { to: given.to ?? given.value } : { to: undefined }) }), labelOf("op")),
        input("number", shownAs(given.value), (number) => set({ ...given, value: kept(number) }), labelOf("value")),
      ];
      if (given.op === "between") parts.push(input("number", shownAs(given.to), (number) => set({ ...given, to: kept(number) }), labelOf("to")));
      if (money) parts.push(element("span", { className: "muted", textContent: text.yuan }));
      return element("span", { className: "builder-param" }, ...parts);
    }
    function windowOf(type, n = 7) {
      const made = { type };
      for (const name of data.window_params[type] ?? []) if (name === "n") made.n = n; else if (name === "of") made.of = "this"; else if (name === "unit" && type !== "last") made.unit = "month";
      return made;
    }
    function span(param, value, set) {
      const given = value ?? begins.window(param);
      const wanted = data.window_params[given.type] ?? [];
      const parts = [select(param.options.map((type) => [type, word(type)]), given.type, (type) => set(windowOf(type, given.n)), labelOf("window"))];
      for (const name of wanted) {
        if (name === "n") parts.push(input("number", given.n, (n) => set({ ...given, n }), labelOf("n")));
        else if (name === "from" || name === "to") parts.push(input("date", given[name], (day) => set({ ...given, [name]: day }), labelOf(name)));
        else if (name === "of") parts.push(select([["this", word("this")], ["next", word("next")]], given.of, (of) => set({ ...given, of }), labelOf("of")));
        else parts.push(select((given.type === "last" ? ["day", "hour"] : ["day", "week", "month", "year"]).map((unit) => [unit, word(unit)]), given.unit ?? "day", (unit) => set({ ...given, unit }), labelOf("unit")));
      }
      return element("span", { className: "builder-param" }, ...parts);
    }
    function chooser(source, chosen, set, numbers) {
      const box = element("span", { className: "builder-chooser" });
      const known = names[source] ??= {};
      for (const id of chosen) {
        const chip = element("span", { className: "chip chip-blue", textContent: known[id] ?? id });
        chip.append(button("×", () => set(chosen.filter((other) => other !== id)), { className: "chip-remove", ariaLabel: text.remove }));
        box.append(chip);
      }
      const search = element("input", { type: "search", className: "form-control form-control-sm", placeholder: `${word(source)}…` });
      search.setAttribute("aria-label", word(source));
      const list = element("div", { className: "builder-choices", hidden: true });
      let looks = 0;
      const look = async () => {
        const mine = ++looks;
        const answer = await fetch(`${home.dataset.choices}?source=${source}&q=${encodeURIComponent(search.value)}`);
        if (!answer.ok || mine !== looks) return; // what was typed before may be answered later
        const results = (await answer.json()).results.filter(([id]) => !chosen.includes(id));
        if (mine !== looks) return;
        if (!results.length) list.replaceChildren(element("div", { className: "builder-choice muted", textContent: text.nothing }));
        else list.replaceChildren(...results.map(([id, name]) => button(name, () => {
          known[id] = name;
          set([...chosen, numbers ? Number(id) : id]);
        }, { className: "builder-choice" })));
        list.hidden = false;
      };
      search.addEventListener("focus", look);
      box.addEventListener("keydown", (event) => {
        const found = [...list.querySelectorAll("button")];
        const at = found.indexOf(document.activeElement);
        if (event.key === "Escape") list.hidden = true;
        else if (event.key === "Enter" && event.target === search) { if (!list.hidden) found[0]?.click(); }
        else if (event.key === "ArrowDown" && !list.hidden) (found[at + 1] ?? found[0])?.focus();
        else if (event.key === "ArrowUp" && at >= 0) (found[at - 1] ?? search).focus();
        else return;
        event.preventDefault(); // Enter would send the whole form
        event.stopPropagation();
      });
      search.addEventListener("input", () => { clearTimeout(search.timer); search.timer = setTimeout(look, 150); });
      box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) list.hidden = true; });
      box.append(search, list);
      return box;
    }

    // ---- counting while it is edited

    let timer = 0;
    let asked = 0;
    // Drawn anew after the click that made the change has come to its end: otherwise its button would be gone under it.
    // What had the focus has it again afterwards.
    let pressed = false;
    let waiting = false;
    let goTo = null; // [node, selector] of what has the focus instead: a new row, the place of one that is gone
    root.addEventListener("pointerdown", () => { pressed = true; }, true);
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, () => setTimeout(() => { pressed = false; if (waiting) redraw(); }));
    }
    const own = (box) => [...box.querySelectorAll("input, select, button, [tabindex]")].filter((one) => one.closest("[data-path]") === box);
    const sign = (one) => `${one.tagName} ${one.type} ${one.className} ${one.getAttribute("aria-label")}`;
    function redraw() {
      if (pressed) { waiting = true; return; }
      waiting = false;
      const active = root.contains(document.activeElement) ? document.activeElement : null;
      const box = active?.closest("[data-path]");
      const search = active?.closest(".builder-chooser")?.querySelector("input");
      const wanted = active?.matches(".builder-choice, .chip-remove") ? search : active;
      const nth = box ? own(box).filter((one) => sign(one) === sign(wanted)).indexOf(wanted) : 0;
      root.replaceChildren(drawNode(tree, null, ""));
      if (!box) return;
      const boxOf = (node) => [...root.querySelectorAll("[data-path]")].find((one) => one.node === node);
      const next = goTo && (boxOf(goTo[0]) ?? root.firstElementChild).querySelector(goTo[1]);
      goTo = null;
      if (next) return next.focus();
      const again = boxOf(box.node);
      again && own(again).filter((one) => sign(one) === sign(wanted))[nth]?.focus();
    }
    function draw() {
      if (!waiting) { waiting = true; setTimeout(() => { if (waiting) redraw(); }); }
      field.value = tree.items.length || !("optional" in home.dataset) ? JSON.stringify(write(tree)) : "";
      part("undo").disabled = !past.length;
      part("redo").disabled = !future.length;
    }
    // What a condition must have and shows from the start, it has: "at least 1" is not asked for again.
    function settle(node) {
      (node.items ?? []).forEach(settle);
      for (const param of node.leaf ? shown(node.leaf) : []) {
        const begun = begins[param.type];
        if (begun && !param.default && (param.needed || node.leaf.kind === "field")) node.leaf[param.name] ??= begun(param, node.leaf);
      }
    }
    function changed() {
      settle(tree);
      draw();
      home.dispatchEvent(new CustomEvent("condition-change", { detail: field.value, bubbles: true }));
      clearTimeout(timer);
      timer = setTimeout(count, 300);
      stale(tree.items.length > 0);
    }
    // the number that stands there is not yet, or not any more, that of the conditions
    function stale(is) {
      for (const name of ["count", "sentence", "sample"]) part(name)?.classList.toggle("is-stale", is);
    }
    async function count() {
      const mine = ++asked;
      if (!tree.items.length) return say("—", text.empty, []);
      stale(true);
      const body = new FormData();
      body.append("condition", JSON.stringify(write(tree)));
      const found = await fetch(home.dataset.count, { method: "POST", body, headers: { "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value } })
        .then((answer) => (answer.ok ? answer.json() : null)).catch(() => null); // a log-in page is no answer either
      if (mine !== asked) return undefined;
      if (!found) return say("—", text.failed, []);
      for (const [source, known] of Object.entries(found.names ?? {})) names[source] = { ...names[source], ...known };
      const before = JSON.stringify(problems);
      problems = {};
      for (const { path, text: words } of found.problems ?? []) (problems[path] ??= []).push(words);
      if (before !== JSON.stringify(problems) && !root.contains(document.activeElement)) redraw();
      else if (before !== JSON.stringify(problems)) showProblems();
      if (found.problems) return say("—", [...new Set(found.problems.map(named))].slice(0, 3).join(" · "), []);
      return say(found.n.toLocaleString("en-US"), found.sentence, found.sample);
    }
    function showProblems() {
      root.querySelectorAll(".field-error").forEach((old) => old.remove());
      root.querySelectorAll("[data-path]").forEach((box) => {
        const here = problems[placeOf(box.node ?? tree, box.dataset.path)];
        box.classList.toggle("is-wrong", Boolean(here));
        if (here && !fresh.has(box.node?.leaf)) box.firstElementChild.after(said(here));
      });
    }
    // which condition keeps the number away: also one that nobody has filled in yet
    function named({ path, text: words }) {
      const box = [...root.querySelectorAll("[data-path]")].find((one) => placeOf(one.node ?? tree, one.dataset.path) === path);
      const kind = kinds[box?.node?.leaf?.kind];
      return kind ? `${kind.label}: ${words}` : words;
    }
    function say(n, words, sample) {
      stale(false);
      part("count").textContent = n;
      part("sentence").textContent = words;
      part("sample")?.replaceChildren(...sample.map((person) => element("li", {}, element("a", { href: `/contacts/${person.id}/`, textContent: person.name }))));
    }

    part("undo").addEventListener("click", () => step(past, future));
    part("redo").addEventListener("click", () => step(future, past));
    home.undo = () => step(past, future);
    home.redo = () => step(future, past);
    // the first answer brings the names of what the condition names
    count().finally(draw);
  }

  let last = null; // the builder that a person works on; Ctrl+Z is for it
  function attach(box) {
    if (box.builderMade) return;
    box.builderMade = true;
    load(box.dataset.meta).then((data) => begin(box, data)).catch(() => { box.querySelector(".builder").textContent = box.dataset.failed; });
  }
  function attachAll(root) {
    root.querySelectorAll(".condition-builder").forEach(attach);
  }
  document.addEventListener("focusin", (event) => { last = event.target.closest(".condition-builder") ?? last; });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input:not([type=checkbox]), textarea")) return;
    const box = event.target.closest(".condition-builder") ?? (last?.isConnected ? last : document.querySelector(".condition-builder[data-result]"));
    if (!box?.undo) return;
    if (event.key === "z" && !event.shiftKey) { event.preventDefault(); box.undo(); }
    if (event.key === "y" || (event.key === "z" && event.shiftKey)) { event.preventDefault(); box.redo(); }
  });
  document.addEventListener("htmx:load", (event) => { if (event.target.querySelectorAll) attachAll(event.target.parentElement ?? event.target); });
  attachAll(document);
  window.ConditionBuilder = { attach };
})();

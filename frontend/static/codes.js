// Channel codes: the bar over ticked rows of the list, and the editor of guides, hours and welcomes with the phone beside it.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const json = (id) => JSON.parse($(`#${id}`)?.textContent || "null");

  // ---- list
  function showBar() {
    const bar = $("#code-bar");
    if (!bar) return;
    const n = all("#code-form [name=ids]:checked").length;
    bar.hidden = !n;
    $("[data-bulk-count]", bar).textContent = n;
  }
  document.addEventListener("change", (event) => {
    if (event.target.name === "ids" || event.target.dataset.checkAll) showBar();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#code-bar [data-bulk-clear]")) return;
    all("#code-form input[type=checkbox]").forEach((box) => { box.checked = false; });
    showBar();
  });
  document.addEventListener("htmx:afterSettle", () => {
    showBar();
    const link = $("[data-export]"); // the filters of the address go along
    if (link) link.search = location.search;
  });

  // ---- editor
  const form = $("[data-editor]");
  if (!form) return;
  const lists = json("lists") || {};
  const people = json("people") || [];
  const byId = new Map(people.map((person) => [person.id, person]));
  const variables = new Map((json("variables") || []).map((v) => [v.name, v]));
  const aliases = { 品牌名称: "品牌", 门店名称: "门店", 渠道名称: "渠道" };
  const guideBox = $("[data-guides]", form);
  const hourBox = $("[data-hours]", form);
  const welcomeBox = $("[data-welcomes]", form);
  const preview = $("#preview");
  const encoder = new TextEncoder();
  const clone = (id) => $(`#${id}`).content.firstElementChild.cloneNode(true);
  const field = (root, name) => $(`[data-field="${name}"]`, root);
  const days = (root) => all("[data-weekday]:checked", root).map((box) => Number(box.value));
  const setDays = (root, chosen) => all("[data-weekday]", root).forEach((box) => { box.checked = (chosen || []).includes(Number(box.value)); });

  // guides
  function addGuide(row) {
    const person = byId.get(Number(row.id));
    if (!person || $(`[data-guide="${person.id}"]`, guideBox)) return;
    const element = clone("guide-template");
    element.dataset.guide = person.id;
    element.classList.toggle("unable", !person.able);
    $("[data-initials]", element).textContent = /[\u4e00-\u9fff]/.test(person.name) ? person.name.slice(-2) : person.name.slice(0, 2).toUpperCase();
    $("[data-name]", element).textContent = person.name;
    $("[data-about]", element).textContent = [person.store, person.userid].filter(Boolean).join(" · ");
    field(element, "weight").value = row.weight ?? 1;
    field(element, "limit").value = row.limit ?? "";
    field(element, "standby").checked = Boolean(row.standby);
    guideBox.append(element);
    guideChoices();
  }
  const chosenGuides = () => all("[data-guide]", guideBox || document.createElement("i")).map((element) => byId.get(Number(element.dataset.guide)));
  function guideChoices() {
    // hours and welcomes may name a guide of this code
    for (const select of all('[data-hour] [data-field="guide"], [data-welcome] .welcome-conditions [data-field="guide"]', form)) {
      const kept = select.value || select.dataset.wanted || "";
      select.replaceChildren(select.options[0], ...chosenGuides().map((p) => new Option(p.name, p.id)));
      select.value = kept;
      if (select.selectedIndex < 0) select.value = "";
    }
  }
  function setUpPicker() {
    const search = $("[data-guide-search]", form);
    const options = $("[data-guide-options]", form);
    const corp = form.elements.corp;
    let active = 0;
    const close = () => { options.hidden = true; search.setAttribute("aria-expanded", "false"); };
    function draw() {
      const words = search.value.trim().toLowerCase();
      const found = people.filter((p) => p.able && (!corp || String(p.corp) === corp.value)
        && !$(`[data-guide="${p.id}"]`, guideBox)
        && [p.name, p.userid, p.store].some((text) => text.toLowerCase().includes(words))).slice(0, 50);
      active = Math.min(active, Math.max(0, found.length - 1));
      options.replaceChildren(...found.map((person, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = `guide-option${i === active ? " active" : ""}`;
        button.setAttribute("role", "option");
        button.dataset.id = person.id;
        const about = document.createElement("small");
        about.textContent = [person.store, person.userid].filter(Boolean).join(" · ");
        button.append(person.name, about);
        return button;
      }));
      options.hidden = !found.length;
      search.setAttribute("aria-expanded", String(!options.hidden));
    }
    const choose = (id) => { addGuide({ id }); search.value = ""; active = 0; draw(); changed(); search.focus(); };
    search.addEventListener("focus", draw);
    search.addEventListener("input", () => { active = 0; draw(); });
    search.addEventListener("keydown", (event) => {
      const shown = all(".guide-option", options);
      if (event.key === "Enter") {
        event.preventDefault();
        if (shown[active] && !options.hidden) choose(shown[active].dataset.id);
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        active = (active + (event.key === "ArrowDown" ? 1 : -1) + shown.length) % Math.max(1, shown.length);
        shown.forEach((button, i) => button.classList.toggle("active", i === active));
        shown[active]?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "Escape") {
        close();
      }
    });
    // before the field loses the focus
    options.addEventListener("mousedown", (event) => {
      const button = event.target.closest(".guide-option");
      if (!button) return;
      event.preventDefault();
      choose(button.dataset.id);
    });
    search.addEventListener("blur", close);
    corp?.addEventListener("change", () => { guideBox.replaceChildren(); guideChoices(); });
    const strategy = form.elements.strategy;
    const weights = () => form.classList.toggle("by-weight", strategy.value === "weighted");
    strategy.addEventListener("change", weights);
    weights();
  }

  // hours
  function addHours(row) {
    const element = clone("hours-template");
    setDays(element, row.weekdays);
    field(element, "start").value = row.start || "";
    field(element, "end").value = row.end || "";
    field(element, "guide").dataset.wanted = row.guide ?? "";
    hourBox.append(element);
    guideChoices();
  }

  // welcomes
  function addWelcome(row) {
    const element = clone("welcome-template");
    for (const name of ["text", "audience", "gender", "start", "end", "department", "guide"]) {
      const input = field(element, name);
      if (!input) continue;
      input.value = row[name] ?? (name === "audience" ? "all" : "");
      if (name === "guide") input.dataset.wanted = row.guide ?? "";
    }
    setDays($(".welcome-when", element), row.weekdays);
    $("[data-attachments] input[type=hidden]", element).value = JSON.stringify(row.attachments || []);
    if (row.content) {
      $("[data-content-version]", element).value = row.content;
      $("[data-content-name]", element).textContent = json("picked")?.[row.content] || `#${row.content}`;
      $("[data-content-picked]", element).hidden = false;
    }
    welcomeBox.append(element);
    attachments.ready(element);
    guideChoices();
    const place = $("[data-place]", element);
    if (place) {
      place.value = row.guide ? "guide" : row.department ? "department" : "brand";
      showPlace(element);
    }
    check(element);
    globalThis.wording.look(field(element, "text"));
    return element;
  }
  function showPlace(element) {
    const chosen = $("[data-place]", element).value;
    for (const box of all("[data-place-of]", element)) {
      box.hidden = box.dataset.placeOf !== chosen;
      if (box.hidden) $("select", box).value = "";
    }
  }
  const variable = /([ ,，、]*)\{([^{}|\n]*)(?:\|([^{}\n]*))?\}/g;
  const plain = (name) => aliases[name.trim()] || name.trim();
  function check(element) {
    const text = field(element, "text").value;
    const filled = text.replace(variable, (_all, before, name, otherwise = "") => {
      const longest = "名".repeat(variables.get(plain(name))?.longest || 0);
      return before + (encoder.encode(otherwise).length > encoder.encode(longest).length ? otherwise : longest);
    });
    room($("[data-room]", element), filled);
    const unknown = [...text.matchAll(variable)].map((m) => m[2]).filter((name) => !variables.has(plain(name)));
    const note = $("[data-unknown]", element);
    note.hidden = !unknown.length;
    note.textContent = `${note.dataset.words} ${unknown.map((name) => `{${name}}`).join(" ")}`;
    const words = $("[data-when-words]", element);
    const said = [];
    for (const name of ["audience", "gender", "guide"]) {
      const select = $(`.welcome-conditions [data-field="${name}"]`, element);
      if (select?.value && select.value !== "all") said.push(select.selectedOptions[0].textContent);
    }
    const [start, end] = [field(element, "start").value, field(element, "end").value];
    if (start || end) said.push(`${start || "…"}–${end || "…"}`);
    const names = all(".welcome-when [data-weekday]:checked + .chip", element).map((chip) => chip.textContent);
    if (names.length) said.push(names.join(" "));
    words.textContent = said.length ? said.join(" · ") : words.dataset.always;
  }

  // phone
  function note(text) {
    const element = document.createElement("div");
    element.className = "phone-note";
    element.textContent = text;
    return element;
  }
  function drawPhone() {
    const element = $("[data-welcome].active", welcomeBox) || $("[data-welcome]", welcomeBox);
    if (!element) return preview.replaceChildren(note(preview.dataset.nobody));
    const guide = chosenGuides()[0]?.name || preview.dataset.guide;
    $("[data-phone-name]").textContent = guide;
    const samples = { 客户昵称: preview.dataset.customer, 员工姓名: guide, 品牌: preview.dataset.brand, 门店: chosenGuides()[0]?.store || preview.dataset.store, 渠道: form.elements.name?.value || preview.dataset.code };
    const text = field(element, "text").value.trim().replace(variable, (whole, before, name, otherwise) => {
      const value = samples[plain(name)] ?? otherwise;
      return value === undefined ? whole : before + value;
    });
    const items = attachments.listOf($("[data-attachments]", element));
    preview.replaceChildren(
      note(preview.dataset.added),
      ...(text ? [attachments.bubble(text)] : []),
      ...items.map(attachments.bubbleOf),
      ...(text || items.length ? [] : [note(preview.dataset.nobody)]),
    );
  }

  // what is sent: the lists as JSON
  function read() {
    const number = (input) => (input?.value ? Number(input.value) : null);
    return {
      guides: guideBox ? all("[data-guide]", guideBox).map((e) => ({
        id: Number(e.dataset.guide), weight: number(field(e, "weight")) ?? 1, limit: number(field(e, "limit")), standby: field(e, "standby").checked,
      })) : [],
      hours: hourBox ? all("[data-hour]", hourBox).map((e) => ({
        weekdays: days(e), start: field(e, "start").value, end: field(e, "end").value, guide: number(field(e, "guide")),
      })) : [],
      welcomes: all("[data-welcome]", welcomeBox).map((e) => ({
        text: field(e, "text").value, attachments: attachments.listOf($("[data-attachments]", e)),
        audience: field(e, "audience").value, gender: number(field(e, "gender")), weekdays: days($(".welcome-when", e)),
        start: field(e, "start").value, end: field(e, "end").value, guide: number(field(e, "guide")), department: number(field(e, "department")),
        content: number($("[data-content-version]", e)),
      })),
    };
  }
  function changed() {
    form.elements.lists.value = JSON.stringify(read());
    drawPhone();
  }

  form.addEventListener("click", (event) => {
    const hit = (selector) => event.target.closest(selector);
    if (hit("[data-up]")) {
      const row = hit("[data-guide]");
      row.previousElementSibling?.before(row);
    } else if (hit("[data-remove]")) {
      hit("[data-guide], [data-hour], [data-welcome]").remove();
      guideChoices();
    } else if (hit("[data-add-hours]")) {
      addHours({ weekdays: [1, 2, 3, 4, 5, 6, 7], start: "09:00", end: "21:00" });
    } else if (hit("[data-add-welcome]")) {
      const fresh = addWelcome({});
      activate(fresh);
      field(fresh, "text").focus();
    } else if (hit("[data-insert]")) {
      const area = field(hit("[data-welcome]"), "text");
      const name = hit("[data-insert]").dataset.insert;
      area.setRangeText(name === "客户昵称" ? "{客户昵称|朋友}" : `{${name}}`, area.selectionStart, area.selectionEnd, "end");
      area.focus();
      check(hit("[data-welcome]"));
    } else {
      return;
    }
    changed();
  });
  function activate(element) {
    all("[data-welcome]", welcomeBox).forEach((e) => e.classList.toggle("active", e === element));
    drawPhone();
  }
  form.addEventListener("focusin", (event) => {
    const element = event.target.closest("[data-welcome]");
    if (element) activate(element);
  });
  for (const name of ["input", "change", "attachmentschange", "contentpicked", "contentcleared"]) {
    form.addEventListener(name, (event) => {
      const element = event.target.closest("[data-welcome]");
      if (element && event.target.matches("[data-place]")) showPlace(element);
      if (element) check(element);
      changed();
    });
  }
  // leaving with changes asks first
  let saved = "";
  form.addEventListener("submit", () => { changed(); saved = null; });
  window.addEventListener("beforeunload", (event) => {
    if (saved !== null && saved !== form.elements.lists.value) event.preventDefault();
  });

  (lists.guides || []).forEach(addGuide);
  if (guideBox) setUpPicker();
  (lists.hours || []).forEach(addHours);
  (lists.welcomes || []).forEach(addWelcome);
  changed();
  saved = form.elements.lists.value;
})();

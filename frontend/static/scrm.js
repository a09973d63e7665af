// What the frame does in the browser: toasts, confirm, modals for htmx, charts, copy, keyboard, theme. No inline scripts, no eval.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const words = () => $("#words").dataset;
  // deferred scripts of the page (charts) run after this one: wait for all of them
  const ready = (run) => (document.readyState === "complete" ? run() : document.addEventListener("DOMContentLoaded", run));

  // ---- toasts: HX-Trigger {"toast": {"text": …, "kind": "success|danger|warning|info", "undo": address to post to}}
  function toast(text, kind = "success", undo = "") {
    const card = document.createElement("div");
    card.className = `toast-card ${kind}`;
    const body = document.createElement("div");
    body.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", words().close);
    close.addEventListener("click", () => card.remove());
    card.append(body);
    if (undo) {
      const back = document.createElement("button");
      back.type = "button";
      back.className = "toast-undo";
      back.textContent = words().undo;
      back.addEventListener("click", () => { card.remove(); htmx.ajax("POST", undo, { target: "#modal-content", source: document.body }); });
      card.append(back);
    }
    card.append(close);
    $("#toasts").append(card);
    if (kind === "danger") card.setAttribute("role", "alert");
    setTimeout(() => card.remove(), kind === "danger" || undo ? 9000 : 4500);
  }
  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind, event.detail.undo));

  // ---- modal and drawer: hx-target="#modal-content" or "#drawer-content" opens them; HX-Trigger closeModal closes
  const layers = { "modal-content": ["#modal", "Modal"], "drawer-content": ["#drawer", "Offcanvas"] };
  const layer = (id) => tabler[layers[id][1]].getOrCreateInstance($(layers[id][0]));
  document.addEventListener("htmx:afterSwap", (event) => {
    if (layers[event.detail.target.id] && event.detail.target.childElementCount) layer(event.detail.target.id).show();
  });
  for (const name of ["closeModal", "closeLayers"]) {
    document.addEventListener(name, () => Object.keys(layers).forEach((id) => layer(id).hide()));
  }
  const firstField = (box) => $("[autofocus], .modal-body input:not([type=hidden]), .modal-body select, .modal-body textarea", box);
  document.addEventListener("shown.bs.modal", (event) => firstField(event.target)?.focus());
  // a form that comes back refused into an open layer: whoever works by keys stays in it, at what is wrong
  document.addEventListener("htmx:afterSettle", (event) => {
    const box = event.detail.target;
    if (!layers[box.id]?.[0] || !$(layers[box.id][0]).classList.contains("show") || box.contains(document.activeElement)) return;
    ($(".has-error :is(input:not([type=hidden]), select, textarea), .is-invalid", box) ?? firstField(box))?.focus();
  });
  document.addEventListener("hidden.bs.modal", (event) => { if (event.target.id === "modal") $("#modal-content").replaceChildren(); });

  // ---- whoever closes a layer is back where they were when it opened, also when that place has been drawn anew
  const openers = new Map();
  let asked = null; // what a layer's content was asked with: the item of a menu has lost the focus by then
  document.addEventListener("htmx:beforeRequest", (event) => { if (layers[event.detail.target?.id]) asked = event.detail.elt; });
  const place = (element) => element && (element.isConnected ? element : element.id ? document.getElementById(element.id) : $(`[hx-get="${CSS.escape(element.getAttribute("hx-get") ?? "")}"]`));
  for (const name of ["show.bs.modal", "show.bs.offcanvas"]) {
    document.addEventListener(name, (event) => {
      const at = document.activeElement === document.body ? asked : document.activeElement;
      if (!event.target.contains(at)) openers.set(event.target, at);
      asked = null;
    });
  }
  for (const name of ["hidden.bs.modal", "hidden.bs.offcanvas"]) {
    document.addEventListener(name, (event) => {
      const at = document.activeElement;
      if (at && at !== document.body && !event.target.contains(at)) return;
      const back = place(openers.get(event.target));
      // what was chosen in a menu that has closed: its button
      (back?.getClientRects().length ? back : back && $("[data-bs-toggle]", back.closest(".dropdown-menu")?.parentElement ?? back.parentElement))?.focus({ preventScroll: true });
    });
  }

  // ---- confirm: data-confirm="text" [data-confirm-title, data-confirm-label, data-confirm-kind="primary|danger"];
  // data-confirm-from: the words of this element instead, once it is there
  let agreed = null;
  function ask(element, go) {
    const given = element.dataset;
    $("#confirm-title").textContent = given.confirmTitle || words().sure;
    $("#confirm-text").textContent = (given.confirmFrom && $(given.confirmFrom)?.textContent) || given.confirm;
    const yes = $("#confirm-yes");
    yes.textContent = given.confirmLabel || words().continue;
    yes.className = `btn btn-${given.confirmKind || "danger"}`;
    agreed = go;
    tabler.Modal.getOrCreateInstance($("#confirm")).show();
    setTimeout(() => yes.focus(), 200);
  }
  document.addEventListener("htmx:confirm", (event) => {
    const element = event.detail.elt.closest("[data-confirm]");
    if (!element || !element.contains(event.detail.elt)) return;
    event.preventDefault();
    ask(element, () => event.detail.issueRequest(true));
  });
  document.addEventListener("submit", (event) => {
    const element = event.submitter?.dataset.confirm ? event.submitter : event.target.dataset.confirm ? event.target : null;
    const byHtmx = event.target.matches("[hx-post],[hx-get],[hx-delete],[hx-put]");
    if (!element || byHtmx || event.target.dataset.agreed) return;
    event.preventDefault();
    ask(element, () => {
      event.target.dataset.agreed = "1";
      event.target.requestSubmit(event.submitter);
    });
  }, true);

  // ---- one submit per click
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.matches("[hx-post],[hx-get]") || event.target.method !== "post") return;
    setTimeout(() => event.target.querySelectorAll("button:not([type=button])").forEach((b) => { b.disabled = true; }));
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) document.querySelectorAll("form button[disabled]").forEach((b) => { b.disabled = false; });
  });

  // ---- <form data-guard>: leaving with what is not saved asks first; what the server refused is not saved either
  const unsaved = new Set();
  let touched = false; // what scripts fill in while the page loads is no change
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => { touched = true; }, true);
  for (const name of ["input", "change", "condition-change", "attachmentschange", "contentpicked", "contentcleared"]) {
    document.addEventListener(name, (event) => {
      // a search among choices changes nothing
      const form = touched && !event.target.matches?.("[type=search]") && event.target.closest?.("form[data-guard]");
      if (form) unsaved.add(form);
    });
  }
  window.addEventListener("submit", (event) => { if (!event.defaultPrevented) unsaved.delete(event.target); });
  // before htmx follows the answer's redirect
  document.addEventListener("htmx:beforeOnLoad", (event) => { if (event.detail.xhr?.status < 400) unsaved.delete(event.detail.elt); });
  window.addEventListener("beforeunload", (event) => { if ([...unsaved].some((form) => form.isConnected)) event.preventDefault(); });
  // a page that answers with 422 holds what was refused
  if (performance.getEntriesByType("navigation")[0]?.responseStatus >= 400) ready(() => document.querySelectorAll("form[data-guard]").forEach((form) => unsaved.add(form)));

  // ---- data-reload-when-done around a job's card: whoever has watched it to its end sees what came of it
  document.addEventListener("htmx:afterSettle", () => { if ($("[data-reload-when-done] :is([data-job-state=done], [data-job-state=cancelled])")) location.reload(); });

  // ---- on a phone the tab that is open may lie beyond the edge
  ready(() => document.querySelectorAll(".tabs").forEach((row) => {
    const tab = $(".active", row);
    if (!tab || row.scrollWidth <= row.clientWidth) return;
    row.scrollLeft += tab.getBoundingClientRect().left - row.getBoundingClientRect().left - (row.clientWidth - tab.clientWidth) / 2;
  }));

  // ---- a page that comes back with something wrong shows the first such place
  ready(() => {
    const wrong = [...document.querySelectorAll("main .field-error[role=alert], main .is-invalid")].find((one) => !one.hidden && one.getClientRects().length);
    if (!wrong) return;
    const field = wrong.matches("input, select, textarea") ? wrong : $("input:not([type=hidden]), select, textarea", wrong.closest(".field, .has-error") || wrong.parentElement);
    (field || wrong).scrollIntoView({ block: "center" });
    field?.focus({ preventScroll: true });
  });

  // ---- requests: a thin bar while they run, words when they fail
  let running = 0;
  const quiet = (event) => /every|load|revealed/.test(event.detail.elt?.getAttribute("hx-trigger") || "");
  document.addEventListener("htmx:beforeRequest", (event) => { if (!quiet(event)) { running += 1; $("#busy").classList.add("on"); } });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!quiet(event)) running = Math.max(0, running - 1);
    if (!running) $("#busy").classList.remove("on");
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (!event.detail.xhr.getResponseHeader("HX-Trigger") && !quiet(event)) toast(words().failed, "danger");
  });
  document.addEventListener("htmx:sendError", (event) => { if (!quiet(event)) toast(words().offline, "danger"); });
  // what polls rests while the page is hidden
  document.addEventListener("htmx:beforeRequest", (event) => { if (document.hidden && quiet(event)) event.preventDefault(); });

  // ---- clicks
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      event.preventDefault();
      event.stopPropagation();
      await copyText(copy.dataset.copy);
      toast(words().copied);
      return;
    }
    const theme = event.target.closest("[data-theme-set]");
    if (theme) return setTheme(theme.dataset.themeSet);
    if (event.target.closest("[data-shortcuts]")) return tabler.Modal.getOrCreateInstance($("#shortcuts")).show();
    const table = event.target.closest("[data-chart-table]");
    if (table) return flipChart(table);
    const download = event.target.closest("[data-chart-download]");
    if (download) return downloadChart(download.dataset.chartDownload);
    const yes = event.target.closest("#confirm-yes");
    if (yes && agreed) {
      const go = agreed;
      agreed = null;
      tabler.Modal.getOrCreateInstance($("#confirm")).hide();
      return go();
    }
    const row = event.target.closest("[data-href]");
    if (row && !event.target.closest("a,button,input,label,select,.dropdown") && !String(getSelection())) {
      if (event.metaKey || event.ctrlKey) open(row.dataset.href, "_blank", "noopener");
      else location.assign(row.dataset.href);
    }
  });
  async function copyText(text) {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  function setTheme(choice) {
    document.cookie = `scrm_theme=${choice};path=/;max-age=${choice ? 31536000 : 0};samesite=lax`;
    const root = document.documentElement;
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.querySelectorAll("[data-theme-set]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.themeSet === choice)));
    document.dispatchEvent(new Event("themechange"));
  }

  // ---- changes: data-submit-on-change, data-check-all="name", data-reveal="#id" (shown while checked or while value = data-reveal-value)
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.closest("[data-submit-on-change]") && field.form) field.form.requestSubmit();
    if (field.dataset.checkAll) {
      const root = field.closest("table,form,fieldset") || document;
      root.querySelectorAll(`input[type=checkbox][name="${CSS.escape(field.dataset.checkAll)}"]:not(:disabled)`).forEach((box) => {
        box.checked = field.checked;
        box.dispatchEvent(new Event("change", { bubbles: true }));
      });
    }
    reveal(field);
  });
  function reveal(field) {
    if (!field.dataset?.reveal) return;
    const on = field.type === "checkbox" ? field.checked : field.dataset.revealValue.split(" ").includes(field.value);
    document.querySelectorAll(field.dataset.reveal).forEach((element) => { element.hidden = !on; });
  }

  // ---- keyboard
  const goes = { o: "/", c: "/contacts/", q: "/codes/", s: "/sops/" };
  let gAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input,textarea,select,[contenteditable]")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      const search = $("#global-search");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "?") {
      tabler.Modal.getOrCreateInstance($("#shortcuts")).show();
    } else if (event.key === "g") {
      gAt = Date.now();
    } else if (goes[event.key] && Date.now() - gAt < 1200) {
      const link = $(`.sidebar-link[href="${goes[event.key]}"]`);
      if (link) link.click();
    } else if (event.key === "Enter" && event.target.matches("[data-href]")) {
      location.assign(event.target.dataset.href);
    }
  });

  // ---- tooltips: data-tip (also by keyboard and touch)
  let tip = null;
  const hideTip = () => { tip?.remove(); tip = null; };
  function showTip(element) {
    hideTip();
    tip = document.createElement("div");
    tip.className = "tip";
    tip.textContent = element.dataset.tip;
    document.body.append(tip);
    const at = element.getBoundingClientRect();
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - box.width / 2), innerWidth - box.width - 8);
    tip.style.left = `${left}px`;
    tip.style.top = `${at.top - box.height - 8 > 0 ? at.top - box.height - 8 : at.bottom + 8}px`;
  }
  for (const name of ["pointerover", "focusin"]) {
    document.addEventListener(name, (event) => {
      const element = event.target.closest?.("[data-tip]");
      if (element) showTip(element); else hideTip();
    });
  }
  document.addEventListener("scroll", hideTip, true);
  document.addEventListener("focusout", hideTip);

  // ---- charts: <div data-chart="id of a json_script"> (components/chart.html)
  const shades = {
    light: { blue: "#3d63dd", green: "#2a9d73", red: "#dc5b5b", amber: "#d9962b", violet: "#8161d6", teal: "#2a9fb0", pink: "#cf5f99", grey: "#9ba4b2", text: "#667085", line: "#e9ecf1", surface: "#fff", strong: "#333b4b" },
    dark: { blue: "#7f9cff", green: "#4cc38a", red: "#f07c7c", amber: "#e2b14a", violet: "#a993f0", teal: "#5cc5d4", pink: "#e48cb8", grey: "#768194", text: "#9ba4b2", line: "#2c3442", surface: "#1b212c", strong: "#e3e6eb" },
  };
  const order = ["blue", "green", "amber", "violet", "teal", "pink", "red", "grey"];
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const dataOf = (id) => JSON.parse($(`#${CSS.escape(id)}`).textContent);
  const isEmpty = (data) => !data.series.some((s) => s.data.some((v) => v));
  const escape = (text) => Object.assign(document.createElement("i"), { textContent: text }).innerHTML;

  function option(data, shade) {
    const colors = order.map((name) => shade[name]);
    const base = {
      color: colors, animationDuration: 300, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      tooltip: { trigger: "axis", backgroundColor: shade.surface, borderColor: shade.line, textStyle: { color: shade.strong, fontSize: 12 }, axisPointer: { type: "shadow", shadowStyle: { opacity: .06 } }, confine: true, valueFormatter: (v) => (v == null ? "—" : number.format(v) + (data.unit || "")) },
      legend: { top: 0, right: 8, icon: "roundRect", itemWidth: 10, itemHeight: 10, itemGap: 14, textStyle: { color: shade.text, fontSize: 12 }, show: data.series.length > 1, type: "scroll" },
    };
    if (data.kind === "donut" || data.kind === "funnel") {
      const rows = data.x.map((name, i) => ({ name, value: data.series[0].data[i] }));
      return {
        ...base, tooltip: { ...base.tooltip, trigger: "item", formatter: (p) => `${p.marker}${escape(p.name)}  <b>${number.format(p.value)}${data.unit || ""}</b>${p.percent == null ? "" : `  ${p.percent}%`}` },
        legend: { ...base.legend, show: data.kind === "donut", orient: "vertical", top: "middle", right: 8 },
        series: [data.kind === "donut"
          ? { type: "pie", radius: ["55%", "80%"], center: ["36%", "50%"], data: rows, label: { show: false }, itemStyle: { borderColor: shade.surface, borderWidth: 2 } }
          : { type: "funnel", data: rows, left: "8%", width: "84%", top: 8, bottom: 8, gap: 3, sort: "none", label: { color: "#fff", formatter: (p) => `${p.name}  ${number.format(p.value)}` } }],
      };
    }
    if (data.kind === "sankey") {
      // left and right are different nodes: whoever moves back makes no circle
      const side = (name, on) => `${on} ${name}`;
      const nodes = [...new Set(data.links.map(([from]) => side(from, "L")))].concat([...new Set(data.links.map(([, to]) => side(to, "R")))]);
      const plain = (name) => name.slice(2);
      return {
        ...base, tooltip: { ...base.tooltip, trigger: "item", formatter: (p) => (p.dataType === "edge" ? `${escape(plain(p.data.source))} → ${escape(plain(p.data.target))}  <b>${number.format(p.value)}</b>` : `${escape(plain(p.name))}  <b>${number.format(p.value)}</b>`) },
        legend: { show: false },
        series: [{
          type: "sankey", left: 8, right: 8, top: 8, bottom: 8, nodeGap: 12, nodeWidth: 12, draggable: false, emphasis: { focus: "adjacency" },
          data: nodes.map((name) => ({ name, itemStyle: { color: shade[data.colors?.[plain(name)]] ?? shade.blue }, label: { position: name.startsWith("L") ? "right" : "left" } })),
          links: data.links.map(([from, to], i) => ({ source: side(from, "L"), target: side(to, "R"), value: data.series[0].data[i] })),
          lineStyle: { color: "source", opacity: .35 }, label: { color: shade.strong, fontSize: 12, formatter: (p) => plain(p.name) },
        }],
      };
    }
    const flat = data.kind === "hbar";
    const names = { type: "category", data: data.x, axisLine: { lineStyle: { color: shade.line } }, axisTick: { show: false }, axisLabel: { color: shade.text, fontSize: 11, hideOverlap: true, ...(flat ? { width: 112, overflow: "truncate" } : {}) }, inverse: flat };
    const values = { type: "value", minInterval: 1, splitNumber: 4, axisLabel: { color: shade.text, fontSize: 11, hideOverlap: true }, splitLine: { lineStyle: { color: shade.line } } };
    return {
      ...base, grid: { left: 8, right: 16, top: data.series.length > 1 ? 36 : 14, bottom: 4, containLabel: true },
      xAxis: flat ? values : names, yAxis: flat ? names : values,
      series: data.series.map((s) => {
        const kind = s.kind || data.kind;
        const line = kind === "line" || kind === "area";
        return {
          name: s.name, data: s.data, type: line ? "line" : "bar", smooth: line ? .25 : undefined, smoothMonotone: line ? "x" : undefined, symbol: "circle", symbolSize: 5, showSymbol: line && data.x.length < 20,
          lineStyle: { width: 2 }, areaStyle: kind === "area" ? { opacity: .12 } : undefined, stack: data.kind === "stack" && !line ? "all" : undefined,
          barMaxWidth: flat ? 14 : 22, itemStyle: { ...(s.color ? { color: shade[s.color] } : {}), borderRadius: line || data.kind === "stack" ? 0 : flat ? [0, 3, 3, 0] : [3, 3, 0, 0] },
          label: flat && data.series.length === 1 ? { show: true, position: "right", color: shade.text, fontSize: 11, formatter: (p) => number.format(p.value) } : undefined,
        };
      }),
    };
  }
  function drawChart(box) {
    const data = dataOf(box.dataset.chart);
    globalThis.echarts?.getInstanceByDom(box)?.dispose();
    if (box.dataset.view === "table" || isEmpty(data) || !globalThis.echarts) {
      box.replaceChildren(isEmpty(data) ? Object.assign(document.createElement("div"), { className: "chart-empty", textContent: words().nodata }) : tableOf(data));
      return;
    }
    box.replaceChildren();
    const theme = document.documentElement.dataset.bsTheme === "dark" ? "dark" : "light";
    echarts.init(box, null, { renderer: "canvas", locale: "EN" }).setOption(option(data, shades[theme]));
  }
  function rowsOf(data) {
    return [[data.x_name || words().date, ...data.series.map((s) => s.name)], ...data.x.map((x, i) => [x, ...data.series.map((s) => s.data[i] ?? "")])];
  }
  function tableOf(data) {
    const table = document.createElement("table");
    table.className = "chart-table";
    rowsOf(data).forEach((row, i) => {
      const tr = table.insertRow();
      row.forEach((cell) => tr.append(Object.assign(document.createElement(i ? "td" : "th"), { textContent: typeof cell === "number" ? number.format(cell) : cell })));
    });
    return table;
  }
  function flipChart(button) {
    const box = $(`[data-chart="${CSS.escape(button.dataset.chartTable)}"]`);
    box.dataset.view = box.dataset.view === "table" ? "" : "table";
    button.setAttribute("aria-pressed", String(box.dataset.view === "table"));
    drawChart(box);
  }
  function downloadChart(id) {
    const box = $(`[data-chart="${CSS.escape(id)}"]`);
    const chart = globalThis.echarts?.getInstanceByDom(box);
    const link = document.createElement("a");
    if (chart) {
      link.href = chart.getDataURL({ pixelRatio: 2, backgroundColor: getComputedStyle(box.closest(".card")).backgroundColor });
      link.download = `${id}.png`;
    } else {
      // a cell that begins like a formula is quoted; the byte order mark makes Excel read Chinese
      const cell = (v) => { const text = String(v); return /^[=+@\t]|^-\D|[",\n]/.test(text) ? `"${(/^[=+@\t]|^-\D/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"` : text; };
      link.href = URL.createObjectURL(new Blob(["\ufeff" + rowsOf(dataOf(id)).map((row) => row.map(cell).join(",")).join("\r\n")], { type: "text/csv" }));
      link.download = `${id}.csv`;
    }
    link.click();
    setTimeout(() => { if (link.href.startsWith("blob:")) URL.revokeObjectURL(link.href); }, 1000);
  }
  const charts = (root = document) => [...root.querySelectorAll("[data-chart]")];
  const resize = new ResizeObserver((entries) => entries.forEach((e) => globalThis.echarts?.getInstanceByDom(e.target)?.resize()));
  function settle(root) {
    charts(root).forEach((box) => { drawChart(box); resize.observe(box); });
    root.querySelectorAll("[data-reveal]").forEach(reveal);
    root.querySelectorAll("[data-toast]").forEach((notice) => { toast(notice.textContent, notice.dataset.kind, notice.dataset.undo); notice.remove(); });
  }
  document.addEventListener("themechange", () => charts().forEach(drawChart));
  document.addEventListener("htmx:afterSettle", (event) => settle(event.detail.elt));
  ready(() => settle(document));
})();

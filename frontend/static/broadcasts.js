// The editor of a broadcast: contents and waves come and go, the phone beside them shows what the customer will see.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const contents = $("#contents");
  const waves = $("#waves");
  const preview = $("#preview");
  const variable = /\{([^{}|\n]{1,20})(?:\|([^{}\n]{0,40}))?\}/g;
  const samples = { 员工姓名: preview.dataset.guide, 门店: preview.dataset.store, 品牌: preview.dataset.brand };
  const letters = "ABCDE";
  const all = (name) => [...(name === "wave" ? waves : contents).querySelectorAll(`[data-${name}]`)];

  function draw() {
    const rows = all("content");
    rows.forEach((row, n) => {
      $("[data-letter]", row).textContent = letters[n] || "";
      // alone it has no share, and cannot be taken out
      $("[name=weight]", row).closest("label").hidden = rows.length < 2;
      $("[data-remove-content]", row).hidden = rows.length < 2;
      room($("[data-room]", row), $("[name=text]", row).value);
    });
    $("#add-content").disabled = rows.length >= letters.length;
    $("#compare").hidden = rows.length < 2; // one content alone has nothing to be compared with
    $("#compare-rule").hidden = !$("[name=test]").checked;
    if (rows.length < 2) $("[name=test]").checked = false;
    all("wave").forEach((row, n) => {
      $("[data-remove-wave]", row).hidden = n === 0;
      $("[data-first-only]", row).hidden = n > 0;
      $("[name=after]", row).closest("label").hidden = n === 0;
    });
    preview.replaceChildren(...rows.flatMap((row, n) => {
      const text = $("[name=text]", row).value.trim().replace(variable, (whole, name, otherwise) => samples[name.trim()] ?? otherwise ?? whole);
      const head = rows.length > 1 ? [Object.assign(document.createElement("div"), { className: "phone-day", textContent: letters[n] })] : [];
      const attached = attachments.listOf($("[data-attachments]", row)).map(attachments.bubbleOf);
      return [...head, ...(text ? [attachments.bubble(text)] : []), ...attached];
    }));
  }
  function add(name, list) {
    list.append($(`#${name}-template`).content.cloneNode(true));
    const fresh = list.lastElementChild;
    if (name === "content") attachments.ready(fresh);
    draw();
    $("textarea, input", fresh).focus();
  }

  $("#add-content").addEventListener("click", () => add("content", contents));
  $("#add-wave").addEventListener("click", () => add("wave", waves));
  $("#broadcast-form").addEventListener("click", (event) => {
    for (const name of ["content", "wave"]) {
      const remove = event.target.closest(`[data-remove-${name}]`);
      if (remove) {
        remove.closest(`[data-${name}]`).remove();
        draw();
      }
    }
    const insert = event.target.closest("[data-insert]");
    if (insert) {
      const area = $("[name=text]", insert.closest("[data-content]"));
      area.setRangeText(insert.dataset.insert, area.selectionStart, area.selectionEnd, "end");
      area.focus();
      draw();
    }
  });
  for (const name of ["input", "change", "attachmentschange"]) $("#broadcast-form").addEventListener(name, draw);
  draw();
})();

// The editor of an SOP: steps come and go, the phone beside them shows what the customer will see.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const steps = $("#steps");
  const preview = $("#preview");
  const variable = /\{([^{}|\n]{1,20})(?:\|([^{}\n]{0,40}))?\}/g;
  const perCustomer = /\{\s*(客户昵称|客户姓名|客户备注|昵称)\s*(\||\})/;
  const samples = { 员工姓名: preview.dataset.guide, 门店: preview.dataset.store, 品牌: preview.dataset.brand, 门店名称: preview.dataset.store, 品牌名称: preview.dataset.brand };

  const fieldsOf = (step) => ({
    day: Number($("[name=day]", step).value || 0),
    time: $("[name=time]", step).value || "00:00",
    text: $("[name=text]", step).value,
    attachments: attachments.listOf($("[data-attachments]", step)),
  });

  function drawPreview() {
    const rows = [...steps.querySelectorAll("[data-step]")].map((element) => ({ element, ...fieldsOf(element) }));
    rows.sort((a, b) => a.day - b.day || a.time.localeCompare(b.time));
    preview.replaceChildren(...rows.flatMap((row) => {
      const when = document.createElement("div");
      when.className = "phone-day";
      when.textContent = `${preview.dataset.day.replace("{n}", row.day)} · ${row.time}`;
      const text = row.text.trim().replace(variable, (all, name, otherwise) => samples[name.trim()] ?? otherwise ?? all);
      return [when, ...(text ? [attachments.bubble(text)] : []), ...row.attachments.map(attachments.bubbleOf)];
    }));
  }
  function check(step) {
    const text = $("[name=text]", step).value;
    room($("[data-room]", step), text);
    $("[data-no-customer]", step).hidden = !perCustomer.test(text);
  }

  $("#add-step").addEventListener("click", () => {
    const rows = [...steps.querySelectorAll("[data-step]")];
    steps.append($("#step-template").content.cloneNode(true));
    const fresh = steps.lastElementChild;
    const last = rows.at(-1);
    if (last) {
      $("[name=day]", fresh).value = Math.max(...rows.map((row) => fieldsOf(row).day)) + 1;
      $("[name=time]", fresh).value = fieldsOf(last).time;
    }
    attachments.ready(fresh);
    check(fresh);
    drawPreview();
    $("[name=text]", fresh).focus();
    fresh.scrollIntoView({ block: "center" });
  });
  steps.addEventListener("click", (event) => {
    const remove = event.target.closest("[data-remove-step]");
    if (remove) {
      remove.closest("[data-step]").remove();
      drawPreview();
    }
    const insert = event.target.closest("[data-insert]");
    if (insert) {
      const area = $("[name=text]", insert.closest("[data-step]"));
      area.setRangeText(insert.dataset.insert, area.selectionStart, area.selectionEnd, "end");
      area.focus();
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
  });
  for (const name of ["input", "attachmentschange"]) {
    steps.addEventListener(name, (event) => {
      const step = event.target.closest("[data-step]");
      if (step) check(step);
      drawPreview();
    });
  }
  steps.querySelectorAll("[data-step]").forEach(check);
  drawPreview();
})();

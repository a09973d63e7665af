// The editor of a message or script: variables, length, and the phone beside it.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const form = $("[data-content-editor]");
  const area = $("[name=text]", form);
  const preview = $("#preview");
  const sample = JSON.parse($("#sample").textContent);
  const aliases = { 品牌名称: "品牌", 门店名称: "门店", 渠道名称: "渠道", 导购姓名: "员工姓名", 客户姓名: "客户昵称", 客户名称: "客户昵称", 昵称: "客户昵称" };
  const variable = /([ ,，、]*)\{([^{}|\n]*)(?:\|([^{}\n]*))?\}/g;
  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

  function card(item) {
    const picture = attachments.pictureOf(item);
    if (item.type === "image" && picture) return Object.assign(make("img", "bubble-picture"), { src: picture, alt: "" });
    const title = attachments.titleOf(item);
    const box = make("div", `bubble ${item.type === "link" ? "link-card" : item.type === "miniprogram" ? "mini-card" : "file-card"}`);
    box.append(make("strong", "", title));
    if (item.desc) box.append(make("small", "muted", item.desc));
    if (picture) box.append(Object.assign(document.createElement("img"), { src: picture, alt: "" }));
    return box;
  }
  function draw() {
    const text = area.value.trim().replace(variable, (whole, before, name, otherwise) => {
      const value = sample[aliases[name.trim()] || name.trim()] ?? otherwise;
      return value ? before + value : value === "" ? "" : whole;
    });
    room($("[data-room]", form), area.value);
    const parts = [...(text ? [make("div", "bubble", text)] : []), ...attachments.listOf($("[data-attachments]", form)).map(card)];
    preview.replaceChildren(...(parts.length ? parts : [make("div", "phone-note", preview.dataset.nothing)]));
  }
  form.addEventListener("click", (event) => {
    const insert = event.target.closest("[data-insert]");
    if (!insert) return;
    area.setRangeText(`{${insert.dataset.insert}}`, area.selectionStart, area.selectionEnd, "end");
    area.focus();
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
  for (const name of ["input", "attachmentschange"]) form.addEventListener(name, draw);
  draw();
})();

// The editor of a moment: the card beside it shows what customers will see.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const form = $("#moment-form");
  const card = $("#moment-preview");
  const text = $("[name=text]", form);
  const box = $("[data-attachments]", form);
  const made = (tag, className, content = "") => Object.assign(document.createElement(tag), { className, textContent: content });

  function draw() {
    room($("[data-room]", form), text.value);
    const list = attachments.listOf(box);
    const pictures = list.filter((item) => item.type === "image");
    const link = list.find((item) => item.type === "link");
    const grid = made("div", pictures.length === 1 ? "moment-pictures single" : "moment-pictures");
    grid.append(...pictures.map((item) => Object.assign(document.createElement("img"), { src: attachments.pictureOf(item), alt: "" })));
    const parts = [made("strong", "", card.dataset.guide), made("div", "moment-text", text.value.trim())];
    if (pictures.length) parts.push(grid);
    if (list.some((item) => item.type === "video")) parts.push(made("div", "moment-video", "▶"));
    if (link) {
      const row = made("div", "moment-link");
      const cover = attachments.pictureOf(link);
      if (cover) row.append(Object.assign(document.createElement("img"), { src: cover, alt: "" }));
      row.append(made("span", "", link.title || link.url));
      parts.push(row);
    }
    $("[data-body]", card).replaceChildren(...parts);
    // WeCom takes up to nine pictures, or one video, or one link
    const kinds = new Set(list.map((item) => item.type));
    box.querySelectorAll("[data-attach]").forEach((button) => {
      const kind = button.dataset.attach;
      button.disabled = kinds.size > 0 && (!kinds.has(kind) || kind !== "image" || list.length >= 9);
    });
    box.querySelector("[data-attach-tracked]").disabled = kinds.size > 0;
  }
  form.addEventListener("input", draw);
  form.addEventListener("attachmentschange", draw);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", draw); else draw();
})();

// The poster editor: a background, and parts that are dragged on it. Pixels are those of the background.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const form = $("[data-poster]");
  const stage = $("[data-stage]", form);
  const list = $("[data-parts]", form);
  const layout = JSON.parse($("#poster-layout").textContent);
  const image = new Image();
  let scale = 1;
  const save = () => {
    form.elements.layout.value = JSON.stringify(layout);
    form.elements.layout.dispatchEvent(new Event("change", { bubbles: true })); // a part that was dragged is not saved yet
  };
  const codes = JSON.parse($("#poster-codes").textContent);
  const nameOf = (id) => codes.find(([code]) => code === Number(id))?.[1] ?? "";
  const make = (tag, className, text = "") => Object.assign(document.createElement(tag), { className, textContent: text });

  function drawStage() {
    stage.replaceChildren();
    if (!image.naturalWidth) { stage.append(make("p", "muted poster-none", stage.dataset.none)); return; }
    scale = stage.clientWidth / image.naturalWidth;
    stage.style.height = `${image.naturalHeight * scale}px`;
    stage.append(image);
    for (const part of layout.parts) {
      const box = make("div", `poster-part ${part.kind}`, part.kind === "text" ? part.text : "");
      if (part.kind !== "text") box.append(make("span", "poster-label", part.kind === "code" ? nameOf(part.code) || list.dataset.choose : list.dataset[part.kind]));
      Object.assign(box.style, { left: `${part.x * scale}px`, top: `${part.y * scale}px`, width: `${part.w * scale}px` });
      if (part.kind !== "text") box.style.height = box.style.width;
      else Object.assign(box.style, { fontSize: `${part.size * scale}px`, color: part.color, textAlign: part.align });
      box.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        box.setPointerCapture(event.pointerId);
        const from = { x: event.clientX, y: event.clientY, px: part.x, py: part.y };
        const moved = (e) => {
          part.x = Math.max(0, Math.min(image.naturalWidth - part.w, Math.round(from.px + (e.clientX - from.x) / scale)));
          part.y = Math.max(0, Math.min(image.naturalHeight - 10, Math.round(from.py + (e.clientY - from.y) / scale)));
          Object.assign(box.style, { left: `${part.x * scale}px`, top: `${part.y * scale}px` });
        };
        box.addEventListener("pointermove", moved);
        box.addEventListener("pointerup", () => { box.removeEventListener("pointermove", moved); drawParts(); save(); }, { once: true });
      });
      stage.append(box);
    }
  }
  function drawParts() {
    list.replaceChildren(...layout.parts.map((part, n) => {
      const row = make("div", "poster-row");
      row.append(make("strong", "small", list.dataset[part.kind]));
      const names = part.kind !== "text" ? ["x", "y", "w"] : ["text", "x", "y", "w", "size", "color"];
      if (part.kind === "code") {
        const select = make("select", "form-select form-select-sm");
        select.setAttribute("aria-label", list.dataset.choose);
        select.append(new Option(list.dataset.choose, ""), ...codes.map(([id, name]) => new Option(name, id)));
        select.value = nameOf(part.code) ? part.code : "";
        select.addEventListener("change", () => { part.code = Number(select.value) || null; drawStage(); save(); });
        row.append(select);
      }
      for (const name of names) {
        const field = make("input", "form-control form-control-sm");
        field.type = name === "text" ? "text" : name === "color" ? "color" : "number";
        field.value = part[name];
        const words = list.dataset[name] || name;
        field.addEventListener("input", () => { part[name] = field.type === "number" ? Number(field.value) : field.value; drawStage(); save(); });
        const label = make("label", name === "text" ? "poster-field poster-words" : "poster-field", words);
        label.append(field);
        row.append(label);
      }
      if (layout.parts.length > 1) {
        const remove = make("button", "btn-icon btn-icon-sm", "×");
        remove.type = "button";
        remove.setAttribute("aria-label", list.dataset.remove);
        remove.addEventListener("click", () => { layout.parts.splice(n, 1); draw(); });
        row.append(remove);
      }
      return row;
    }));
  }
  function draw() { drawStage(); drawParts(); save(); }
  image.addEventListener("load", drawStage);
  addEventListener("resize", drawStage);
  const show = (id) => { if (id) image.src = `${stage.dataset.media}${id}/`; };
  const fresh = {
    text: { w: 240, size: 32, text: "{品牌}", color: "#222222", align: "left" },
    avatar: { w: 120 },
    qr: { w: 160 },
    code: { w: 160, code: codes.length === 1 ? codes[0][0] : null },
  };
  form.addEventListener("click", (event) => {
    const add = event.target.closest("[data-add]");
    if (!add) return;
    layout.parts.push({ kind: add.dataset.add, x: 40, y: 40, ...fresh[add.dataset.add] });
    draw();
    list.lastElementChild.querySelector("select, input").focus();
  });
  $("[data-upload]", form).addEventListener("change", async (event) => {
    if (!event.target.files.length) return;
    const body = new FormData();
    body.append("file", event.target.files[0]);
    body.append("kind", "image");
    const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
    const answer = await fetch(event.target.dataset.upload, { method: "POST", body, credentials: "same-origin", headers: { "X-CSRFToken": token } });
    const found = await answer.json();
    $("[data-upload-error]", form).textContent = found.error?.message || "";
    if (found.id) { form.elements.background.value = found.id; show(found.id); }
  });
  draw();
  show(form.elements.background.value);
})();

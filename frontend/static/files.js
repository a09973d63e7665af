// The upload of a file: drop it, see its name, watch it go. Without this script the form works as a plain one.
"use strict";
(() => {
  const form = document.querySelector("[data-upload]");
  if (!form) return;
  const drop = form.querySelector("[data-drop]");
  const input = drop.querySelector("input[type=file]");
  const name = drop.querySelector("[data-file-name]");
  const bar = form.querySelector("[data-upload-bar]");
  const empty = name.textContent;
  const show = () => { name.textContent = input.files.length ? input.files[0].name : empty; };
  input.addEventListener("change", show);
  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, () => drop.classList.add("over"));
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = form.querySelector(".form-actions .btn-primary");
    const request = new XMLHttpRequest();
    const words = button.innerHTML;
    const stop = (text) => {
      button.disabled = false;
      button.innerHTML = words;
      bar.hidden = true;
      let alert = form.querySelector(".alert");
      if (!alert) {
        alert = document.createElement("div");
        alert.className = "alert alert-danger";
        alert.setAttribute("role", "alert");
        drop.before(alert);
      }
      alert.textContent = text;
    };
    request.open("POST", location.href);
    request.upload.addEventListener("progress", (step) => {
      if (step.lengthComputable) bar.firstElementChild.style.width = `${(100 * step.loaded) / step.total}%`;
    });
    request.addEventListener("load", () => {
      if (request.status === 200 && request.responseURL !== location.href) { location.assign(request.responseURL); return; }
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      // the heading of the page comes before all of them, so each is asked for by itself
      const said = [".upload .alert", ".error-page p", ".error-page h1"].map((place) => page.querySelector(place)).find(Boolean);
      stop(said ? said.textContent.trim() : String(request.status));
    });
    request.addEventListener("error", () => stop(document.querySelector("#words").dataset.offline));
    bar.hidden = false;
    button.disabled = true;
    button.textContent = form.dataset.sending;
    request.send(new FormData(form));
  });
})();

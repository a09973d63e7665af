// "Send me a test" in the editor of a message: opens the dialog with what is written at this moment, saved or not.
"use strict";
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-test-message]");
  if (!button) return;
  const scope = button.closest("[data-content-scope]");
  const values = {
    text: scope.querySelector("[data-content-text]").value,
    attachments: scope.querySelector("[data-attachments] input[type=hidden]").value || "[]",
  };
  const audience = button.form?.elements.audience;
  if (audience) values.audience = audience.value;
  htmx.ajax("POST", button.dataset.testMessage, { target: "#modal-content", source: document.body, values });
});

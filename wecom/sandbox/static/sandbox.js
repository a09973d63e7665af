// Parts of a page that renew themselves, a question before something is deleted, the choice of a corp. No library.
const EVERY_MS = 2000;

function atEnd(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 60;
}

for (const box of document.querySelectorAll("[data-live]")) {
  const chat = box.classList.contains("messages");
  if (chat) {
    box.scrollTop = box.scrollHeight;
    // pictures get their height late: stay at the end until somebody scrolls away from it
    let stay = true;
    box.addEventListener("wheel", () => (stay = atEnd(box)), { passive: true });
    box.addEventListener("touchmove", () => (stay = atEnd(box)), { passive: true });
    box.addEventListener("load", () => stay && (box.scrollTop = box.scrollHeight), true);
  }
  let shown = null;
  setInterval(async () => {
    if (document.hidden || box.contains(document.activeElement)) return;
    const answer = await fetch(box.dataset.live).catch(() => null);
    if (!answer || !answer.ok) return;
    const html = await answer.text();
    if (html === shown) return;
    const first = shown === null;
    shown = html;
    if (first && box.innerHTML.trim() === html.trim()) return;
    const follow = atEnd(box);
    const open = [...box.querySelectorAll("details[open]")].map((one) => one.id);
    box.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (chat && follow) box.scrollTop = box.scrollHeight;
  }, EVERY_MS);
}

// what arrived has been read once its chat is open
for (const box of document.querySelectorAll("[data-read]")) {
  const form = new FormData();
  form.set("userid", box.dataset.userid);
  form.set("external_userid", box.dataset.external);
  form.set("next", "/healthz");
  fetch(box.dataset.read, { method: "POST", body: form }).catch(() => null);
}

// clocks go on by themselves, at their speed
const ZONE = { timeZone: "Asia/Shanghai", hour12: false, month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const FORMAT = new Intl.DateTimeFormat("en-GB", ZONE);
const started = performance.now();
const clocks = [...document.querySelectorAll("[data-clock]")].filter((one) => Number(one.dataset.speed) > 0);
function tick() {
  for (const box of clocks) {
    const now = Number(box.dataset.clock) + ((performance.now() - started) / 1000) * Number(box.dataset.speed);
    const part = Object.fromEntries(FORMAT.formatToParts(new Date(now * 1000)).map((one) => [one.type, one.value]));
    box.firstElementChild.textContent = `${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second}`;
  }
}
if (clocks.length) setInterval(tick, 250);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.sure;
  if (question && !window.confirm(question)) event.preventDefault();
});

for (const select of document.querySelectorAll("select[data-go]")) {
  select.addEventListener("change", () => window.location.assign(select.value));
}

// whose chat is open stands behind the # of a sidebar's address; it goes along through the log-in
if (window.location.hash.includes("sandbox_")) {
  for (const form of document.querySelectorAll("form[action$='/login/pick']")) form.action += window.location.hash;
}

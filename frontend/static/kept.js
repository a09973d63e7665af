// What somebody has typed into a long form (<form data-keep>) survives the end of the session: it waits in this tab's
// sessionStorage while they log in again, and the page of the form brings it back by posting it with `brought_back`, which
// the server draws and does not save (org/forms.py). Never passwords or files; thrown away as soon as it was saved, when
// somebody logs out, when another user logs in, and after twelve hours.
"use strict";
(() => {
  const PREFIX = "kept:";
  const LONGEST_MS = 12 * 3600 * 1000;
  const who = document.body.dataset.who; // user:brand, empty when nobody is logged in
  const refused = performance.getEntriesByType("navigation")[0]?.responseStatus >= 400;
  const form = document.querySelector("form[data-keep]");
  const dirty = new Set(refused && form ? [form] : []); // what the server refused is not saved

  const keys = () => Object.keys(sessionStorage).filter((key) => key.startsWith(PREFIX));
  const read = (key) => { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } };
  function write(key, entry) {
    try { sessionStorage.setItem(key, JSON.stringify(entry)); } catch { sessionStorage.removeItem(key); } // no room
  }
  function pairsOf(given) {
    const secret = new Set([...given.querySelectorAll("input[type=password]")].map((input) => input.name));
    return [...new FormData(given)].filter(([name, value]) => typeof value === "string" && name !== "csrfmiddlewaretoken" && !secret.has(name));
  }

  // ---- leaving: whether it was saved is known only by the page that comes next
  for (const name of ["input", "change", "condition-change", "attachmentschange", "contentpicked", "contentcleared"]) {
    document.addEventListener(name, (event) => { if (event.target.closest?.("form") === form) dirty.add(form); });
  }
  window.addEventListener("submit", (event) => { if (event.target === form && !event.defaultPrevented) dirty.add(form); });
  window.addEventListener("pagehide", () => {
    if (!who || !form?.isConnected || !dirty.has(form)) return;
    const [path, search] = [location.pathname, location.search];
    write(PREFIX + path, { who, path, search, at: Date.now(), pairs: pairsOf(form) });
  });

  // ---- arriving: at the door it goes on waiting, on an error too; on any other page it was saved, or given up
  const door = document.body.dataset.door !== undefined;
  const next = new URLSearchParams(location.search).get("next");
  const asked = next?.split("?")[0];
  for (const key of keys()) {
    const entry = read(key);
    const waits = entry?.lost || (door ? entry?.path === asked : refused && !form);
    const user = (text) => text.split(":")[0];
    const strange = who && entry && user(entry.who) !== user(who);
    if (!entry || strange || Date.now() - entry.at > LONGEST_MS || !waits || (door && !asked)) sessionStorage.removeItem(key);
    else if (!entry.lost) write(key, { ...entry, lost: true });
  }

  // ---- back on the page of the form
  const key = PREFIX + location.pathname;
  const entry = form && who && !refused && read(key);
  if (!entry?.lost || entry.who !== who) return;
  write(key, { ...entry, lost: false });
  const sender = Object.assign(document.createElement("form"), { method: "post", action: location.pathname + entry.search, hidden: true });
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  for (const [name, value] of [...entry.pairs, ["csrfmiddlewaretoken", token], ["brought_back", "1"]]) {
    sender.append(Object.assign(document.createElement("textarea"), { name, value }));
  }
  document.body.append(sender);
  sender.submit();
})();

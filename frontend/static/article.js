// On the page that a customer reads: how long it was in view, how far down; and an address that says where it was passed on from.
"use strict";
(() => {
  const state = JSON.parse(document.body.dataset.state);
  // whoever shares this page shares this address
  history.replaceState(null, "", state.share);

  let seconds = 0;
  let depth = 0;
  let since = document.visibilityState === "visible" ? performance.now() : null;
  let told = "";
  function seen() {
    const whole = document.documentElement.scrollHeight;
    depth = Math.max(depth, Math.min(100, Math.round(((scrollY + innerHeight) / whole) * 100)));
  }
  function pause() {
    if (since !== null) seconds += (performance.now() - since) / 1000;
    since = null;
  }
  function tell() {
    seen();
    const now = seconds + (since === null ? 0 : (performance.now() - since) / 1000);
    const text = JSON.stringify({ token: state.token, seconds: Math.round(now), depth });
    if (text === told) return;
    told = text;
    if (!navigator.sendBeacon?.(state.beat, text)) fetch(state.beat, { method: "POST", body: text, keepalive: true }).catch(() => {});
  }
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") since = performance.now();
    else { pause(); tell(); }
  });
  addEventListener("pagehide", () => { pause(); tell(); });
  addEventListener("scroll", seen, { passive: true });
  // phones end pages without a word: every fifteen seconds in between, for the first ten minutes
  let n = 0;
  const timer = setInterval(() => {
    n += 1;
    if (n > 40) clearInterval(timer);
    if (since !== null) tell();
  }, 15000);
  setTimeout(tell, 4000);
})();

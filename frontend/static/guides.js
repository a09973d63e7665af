// Guides' pages inside WeCom: the JS SDK signed by our server, the customer of the open chat, messages into that chat.
(() => {
  "use strict";
  const sdk = document.getElementById("sdk");
  const CALLS = ["getContext", "getCurExternalContact", "sendChatMessage", "openEnterpriseChat"];
  const PATIENCE_MS = 8000; // WeCom's client answers within a second; a plain browser never does
  const say = (text, kind = "danger") => document.dispatchEvent(new CustomEvent("toast", { detail: { text, kind } }));
  const headers = () => ({ ...JSON.parse(document.body.getAttribute("hx-headers")), "HX-Request": "true" });

  async function post(url, fields) {
    const answer = await fetch(url, { method: "POST", headers: headers(), body: new URLSearchParams(fields), credentials: "same-origin" });
    const to = answer.headers.get("HX-Redirect");
    if (to) { location.assign(to); throw new Error("signed out"); }
    if (!answer.ok) {
      const told = answer.headers.get("HX-Trigger");
      throw new Error(told ? JSON.parse(told).toast.text : String(answer.status));
    }
    return answer.json();
  }

  // ---- the SDK: loaded when it is needed, registered once; both signatures of an address come together
  const within = (promise) => Promise.race([promise, new Promise((_, no) => { setTimeout(() => no(new Error(sdk.dataset.unreachable)), PATIENCE_MS); })]);
  let loaded = null;
  function load() {
    if (!sdk) return Promise.reject(new Error(""));
    loaded ||= new Promise((done, no) => {
      const script = document.createElement("script");
      script.src = sdk.dataset.src;
      script.onload = () => (window.ww ? done() : no(new Error(sdk.dataset.unreachable)));
      script.onerror = () => { loaded = null; no(new Error(sdk.dataset.unreachable)); };
      document.head.append(script);
    }).then(register);
    return loaded;
  }
  const signed = new Map();
  function signatures(url) {
    if (!signed.has(url)) {
      const asked = post(sdk.dataset.signature, { url });
      asked.catch(() => signed.delete(url));
      signed.set(url, asked);
    }
    return signed.get(url);
  }
  const here = () => location.href.split("#")[0];
  function register() {
    window.ww.register({
      corpId: sdk.dataset.corp,
      agentId: sdk.dataset.agent,
      jsApiList: CALLS,
      getConfigSignature: async (url) => (await signatures(url || here())).config,
      getAgentConfigSignature: async (url) => (await signatures(url || here())).agent,
    });
  }
  async function call(name, given) {
    await within(load());
    return within(window.ww[name](given));
  }
  const why = (error) => error.errMsg || error.err_msg || error.message || "";
  const cancelled = (error) => /cancel/i.test(why(error));
  const refused = (error) => (error.errMsg || error.err_msg ? sdk.dataset.refused.replace("%(why)s", why(error)) : why(error));

  // ---- the sidebar: whose chat is open
  const chat = document.getElementById("chat-customer");
  async function open() {
    const problem = document.getElementById("chat-problem");
    try {
      const { userId } = await call("getCurExternalContact");
      if (!userId) throw new Error("");
      problem.hidden = true;
      await htmx.ajax("GET", `${chat.dataset.url}?external_userid=${encodeURIComponent(userId)}`, { target: "#chat-customer", swap: "innerHTML" });
    } catch (error) {
      chat.replaceChildren();
      problem.querySelector("[data-why]").textContent = refused(error);
      problem.hidden = false;
    }
  }
  if (chat && sdk) open();
  else if (chat) chat.replaceChildren();

  // ---- send: content made ready by the server, message by message into the chat, then noted in the ledger
  async function send(button, what) {
    const customer = button.closest("[data-customer]");
    button.disabled = true;
    try {
      const made = await post(customer.dataset.prepare, what);
      const given = { text: made.text, ticket: made.ticket };
      let delivered = 0;
      try {
        for (const message of made.messages) {
          await deliver(message);
          delivered += 1;
        }
      } catch (error) {
        if (!delivered) throw error;
        await note(customer, { ...given, part: "1" }); // the customer has it: the ledger must, too
        if (!cancelled(error)) say(refused(error));
        return;
      }
      await note(customer, given);
      const own = button.closest(".g-own")?.querySelector("textarea");
      if (own) own.value = "";
    } catch (error) {
      say(cancelled(error) ? sdk.dataset.notSent : `${sdk.dataset.notSent}: ${refused(error)}`, cancelled(error) ? "info" : "danger");
    } finally {
      button.disabled = false;
    }
  }
  // the guide may look at the message for as long as they like before they send it: no patience here
  async function deliver(message) {
    await within(load());
    return window.ww.sendChatMessage(message);
  }
  async function note(customer, given) {
    for (let left = 3; left; left -= 1) {
      const before = document.getElementById("card-messages");
      await htmx.ajax("POST", customer.dataset.sent, { values: given, target: "#card-messages", swap: "outerHTML" });
      if (document.getElementById("card-messages") !== before) return;
    }
    say(sdk.dataset.notNoted);
  }

  document.addEventListener("click", async (event) => {
    const version = event.target.closest("[data-send-version]");
    if (version) return send(version, { version: version.dataset.sendVersion });
    const link = event.target.closest("[data-send-link]");
    if (link) return send(link, { link: link.dataset.sendLink });
    const poster = event.target.closest("[data-send-poster]");
    if (poster) return send(poster, { poster: poster.dataset.sendPoster, own: poster.dataset.own || "" });
    const card = event.target.closest("[data-send-card]");
    if (card) return send(card, { card: "1" });
    const own = event.target.closest("[data-send-own]");
    if (own) {
      const text = own.closest("form").elements.text.value.trim();
      return text ? send(own, { text }) : own.closest("form").elements.text.focus();
    }
    if (event.target.closest("[data-words]")) { // the next step's own words stand on top of the scripts
      const scripts = document.getElementById("card-scripts");
      scripts.open = true;
      return scripts.scrollIntoView({ block: "start" });
    }
    if (event.target.closest("[data-reload]")) return location.reload();
    const chatButton = event.target.closest("[data-open-chat]");
    if (chatButton) {
      try {
        await call("openEnterpriseChat", { userIds: [], externalUserIds: [chatButton.dataset.openChat], groupName: "" });
      } catch (error) {
        say(sdk ? refused(error) : "—");
      }
    }
    return undefined;
  });
  // a phone's return key in a single text field of the sidebar sends nothing by itself
  document.addEventListener("submit", (event) => { if (event.target.matches(".g-own:not([hx-post])")) event.preventDefault(); });
})();

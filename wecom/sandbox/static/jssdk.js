// Stand-in for WeCom's JS SDK. The customer whose chat is "open" and the member who has it open come from the address that
// the sandbox opened (#sandbox_external_userid=…&sandbox_userid=…), because no client is there to know them.
(() => {
  const base = "__SANDBOX__";
  const hash = new URLSearchParams(location.hash.slice(1));
  for (const key of ["sandbox_external_userid", "sandbox_userid", "sandbox_chat_id"]) {
    if (hash.get(key)) sessionStorage.setItem(key, hash.get(key));
  }
  const customer = () => sessionStorage.getItem("sandbox_external_userid");
  const chat = () => sessionStorage.getItem("sandbox_chat_id");
  const member = () => sessionStorage.getItem("sandbox_userid");
  let corp = "";
  let serial = 0;

  // Asks the sandbox by a script, which the page's own policy allows already.
  function asked(name, given) {
    return new Promise((resolve) => {
      const callback = `sandbox_jssdk_${(serial += 1)}`;
      window[callback] = (answer) => { delete window[callback]; resolve(answer); };
      const script = document.createElement("script");
      script.src = `${base}/${name}?${new URLSearchParams({ callback, ...given })}`;
      script.onerror = () => resolve("network");
      document.head.append(script);
    });
  }
  // A signature is checked by the sandbox, as WeCom's client checks it.
  const checked = (kind, given) => asked("jssdk-check.js", { kind, ...given, url: location.href.split("#")[0] });

  const results = {
    getContext: () => ({ entry: chat() ? "group_chat_tools" : "single_chat_tools" }),
    getCurExternalContact: () => (customer() ? { userId: customer() } : null),
    getCurExternalChat: () => (chat() ? { chatId: chat() } : null),
    // into the chat at once: whoever tests has pressed the page's button
    sendChatMessage: async ({ success, fail, complete, ...message }) => {
      if (!customer() || !member()) return null;
      const answer = await asked("jssdk-send.js", {
        corpid: corp, userid: member(), external_userid: customer(), message: JSON.stringify(message),
      });
      return answer === "ok" ? {} : { errCode: 1, err_msg: `sendChatMessage:${answer}`, errMsg: `sendChatMessage:${answer}` };
    },
    // the client would open the chat beside the page; here a page of the sandbox is all there is
    openEnterpriseChat: ({ externalUserIds }) => {
      const ids = [externalUserIds].flat().join(";").split(";").filter(Boolean);
      if (ids.length !== 1) return {};
      window.open(`${base}/c/${corp}/customer/${ids[0]}`, "_blank", "noopener");
      return {};
    },
  };

  async function call(name, given) {
    const made = name in results ? await results[name](given || {}) : {};
    return made === null
      ? { err_msg: `${name}:fail no permission`, errMsg: `${name}:fail no permission`, errCode: 84074 }
      : { err_msg: `${name}:ok`, errMsg: `${name}:ok`, errCode: 0, ...made };
  }

  let onReady = () => {};
  let onError = () => {};
  window.wx = {
    config(given) {
      const { appId, timestamp, nonceStr, signature } = given;
      corp = appId;
      checked("corp", { corpid: appId, timestamp, noncestr: nonceStr, signature }).then((answer) =>
        answer === "ok" ? onReady() : onError({ errMsg: answer }));
    },
    agentConfig(given) {
      const { corpid, agentid, timestamp, nonceStr, signature } = given;
      corp = corpid;
      checked("agent_config", { corpid, agentid, timestamp, noncestr: nonceStr, signature }).then((answer) =>
        answer === "ok" ? given.success?.({ errMsg: "agentConfig:ok" }) : given.fail?.({ errMsg: answer }));
    },
    ready(done) { onReady = done; },
    error(done) { onError = done; },
    checkJsApi(given) { given.success?.({ checkResult: Object.fromEntries(given.jsApiList.map((name) => [name, true])) }); },
    invoke(name, given, done) { call(name, given).then((answer) => done?.(answer)); },
    closeWindow() { window.close(); },
  };

  // as the SDK does it: signatures are asked of the page before the first call, the corp's and the app's
  let registered = null;
  let trusted = null;
  async function ensured() {
    const given = registered;
    if (!given) return;
    corp = given.corpId;
    const signs = [["corp", given.getConfigSignature], ["agent_config", given.getAgentConfigSignature]];
    for (const [kind, sign] of signs.filter(([, sign]) => sign)) {
      const { timestamp, nonceStr, signature } = await sign(location.href.split("#")[0]);
      const answer = await checked(kind, { corpid: given.corpId, agentid: given.agentId || "", timestamp, noncestr: nonceStr, signature });
      if (answer !== "ok") throw Object.assign(new Error(answer), { errMsg: answer });
    }
  }
  window.ww = new Proxy({
    register(given) { registered = given; trusted = null; },
    createWWLoginPanel({ el, params }) {
      const box = typeof el === "string" ? document.querySelector(el) : el;
      const frame = document.createElement("iframe");
      frame.src = `${base}/wwlogin/sso/login?${new URLSearchParams(params)}`;
      frame.style.cssText = "border:0;width:100%;min-height:400px";
      box.replaceChildren(frame);
      return { el: frame, unmount: () => frame.remove() };
    },
  }, {
    get(own, name) {
      if (name in own) return own[name];
      return async (given = {}) => {
        trusted ||= ensured();
        trusted.catch(() => { trusted = null; });
        await trusted;
        const answer = await call(name, given);
        (answer.errCode ? given.fail : given.success)?.(answer);
        if (answer.errCode) throw answer;
        return answer;
      };
    },
  });
  window.jWeixin = window.wx;
})();

// Stand-in for WeCom's JS SDK. The customer whose chat is "open" comes from the address that the sandbox opened
// (#sandbox_external_userid=…), because no client is there to know it.
(() => {
  const base = "__SANDBOX__";
  const hash = new URLSearchParams(location.hash.slice(1));
  for (const key of ["sandbox_external_userid", "sandbox_chat_id"]) {
    if (hash.get(key)) sessionStorage.setItem(key, hash.get(key));
  }
  const customer = () => sessionStorage.getItem("sandbox_external_userid");
  const chat = () => sessionStorage.getItem("sandbox_chat_id");
  let serial = 0;

  // A signature is checked by the sandbox, as WeCom's client checks it.
  function checked(kind, given) {
    return new Promise((resolve) => {
      const callback = `sandbox_jssdk_${(serial += 1)}`;
      window[callback] = (answer) => { delete window[callback]; resolve(answer); };
      const script = document.createElement("script");
      const query = new URLSearchParams({ kind, callback, ...given, url: location.href.split("#")[0] });
      script.src = `${base}/jssdk-check.js?${query}`;
      script.onerror = () => resolve("config:network");
      document.head.append(script);
    });
  }

  const results = {
    getContext: () => ({ entry: chat() ? "group_chat_tools" : "single_chat_tools" }),
    getCurExternalContact: () => (customer() ? { userId: customer() } : null),
    getCurExternalChat: () => (chat() ? { chatId: chat() } : null),
    sendChatMessage: (given) => { console.info("sendChatMessage", given); return {}; },
  };

  function call(name, given) {
    const made = name in results ? results[name](given) : {};
    return made === null
      ? { err_msg: `${name}:fail no permission`, errMsg: `${name}:fail no permission`, errCode: 84074 }
      : { err_msg: `${name}:ok`, errMsg: `${name}:ok`, errCode: 0, ...made };
  }

  let onReady = () => {};
  let onError = () => {};
  window.wx = {
    config(given) {
      const { appId, timestamp, nonceStr, signature } = given;
      checked("corp", { corpid: appId, timestamp, noncestr: nonceStr, signature }).then((answer) =>
        answer === "ok" ? onReady() : onError({ errMsg: answer }));
    },
    agentConfig(given) {
      const { corpid, agentid, timestamp, nonceStr, signature } = given;
      checked("agent_config", { corpid, agentid, timestamp, noncestr: nonceStr, signature }).then((answer) =>
        answer === "ok" ? given.success?.({ errMsg: "agentConfig:ok" }) : given.fail?.({ errMsg: answer }));
    },
    ready(done) { onReady = done; },
    error(done) { onError = done; },
    checkJsApi(given) { given.success?.({ checkResult: Object.fromEntries(given.jsApiList.map((name) => [name, true])) }); },
    invoke(name, given, done) { setTimeout(() => done?.(call(name, given)), 0); },
    closeWindow() { window.close(); },
  };

  let registered = null;
  async function ensured() {
    const given = registered;
    if (!given) return;
    const sign = given.getAgentConfigSignature || given.getConfigSignature;
    const { timestamp, nonceStr, signature } = await sign(location.href.split("#")[0]);
    const kind = given.getAgentConfigSignature ? "agent_config" : "corp";
    const answer = await checked(kind, { corpid: given.corpId, agentid: given.agentId, timestamp, noncestr: nonceStr, signature });
    if (answer !== "ok") throw Object.assign(new Error(answer), { errMsg: answer });
  }
  window.ww = new Proxy({
    register(given) { registered = given; },
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
        await ensured();
        const answer = call(name, given);
        (answer.errCode ? given.fail : given.success)?.(answer);
        if (answer.errCode) throw answer;
        return answer;
      };
    },
  });
  window.jWeixin = window.wx;
})();

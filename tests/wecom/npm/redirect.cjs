// Preloaded (node --require): calls to WeCom's host go to the sandbox at WECOM_AT instead, and no call leaves for
// anywhere else. For packages whose host cannot be set.
const http = require('http')
const https = require('https')

const to = new URL(process.env.WECOM_AT)
// api.weixin.qq.com is WeChat's: one package names it for some of WeCom's calls
const HOSTS = ['qyapi.weixin.qq.com', 'api.weixin.qq.com']

function redirected(native) {
  return function request(...given) {
    const options = given.find((one) => typeof one === 'object' && !(one instanceof URL)) || {}
    const url = given[0] instanceof URL || typeof given[0] === 'string' ? new URL(given[0]) : null
    const host = options.hostname || options.host || (url && url.hostname)
    const done = given.find((one) => typeof one === 'function')
    if (!HOSTS.includes(host)) {
      throw new Error(`this test talks to WeCom only, not to ${host}`)
    }
    const path = options.path || (url && url.pathname + url.search)
    const { method, headers } = options
    return native({ protocol: to.protocol, hostname: to.hostname, port: to.port, path, method, headers }, done)
  }
}

https.request = redirected(http.request)
https.get = (...given) => {
  const request = https.request(...given)
  request.end()
  return request
}

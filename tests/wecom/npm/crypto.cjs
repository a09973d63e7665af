// WeCom's own @wecom/crypto. Steps: ["seal", text], ["open", query, encrypted], ["page", address, ticket, nonce, timestamp].
const wecom = require('@wecom/crypto')
const { run } = require('./steps.cjs')

run(({ token, aesKey, receiveId, timestamp }) => {
  let count = 0
  return (what, ...given) => {
    if (what === 'page') {
      const [url, ticket, nonceStr, at] = given
      return wecom.getJsApiSignature({ url, ticket, nonceStr, timestamp: at })
    }
    if (what === 'seal') {
      const nonce = String(1372623149 + count++)
      const encrypted = wecom.encrypt(aesKey, given[0], receiveId)
      const signature = wecom.getSignature(token, timestamp, nonce, encrypted)
      return { encrypted, query: { msg_signature: signature, timestamp: String(timestamp), nonce } }
    }
    const [query, encrypted] = given
    const { message, id } = wecom.decrypt(aesKey, encrypted)
    return { message, id, signature: wecom.getSignature(token, query.timestamp, query.nonce, encrypted) }
  }
})

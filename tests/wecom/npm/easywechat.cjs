// node-easywechat: its token, its client with the host set as its documentation says, its JS SDK signatures.
// Steps: ["get" | "postJson", path, parameters or body] and ["config" | "agentConfig", address of a page].
const { Work } = require('node-easywechat')
const { run } = require('./steps.cjs')

run(({ config, agentId }) => {
  const app = new Work(config)
  return async (what, path, values) => {
    if (what === 'config') return app.getUtils().buildJsSdkConfig(path)
    if (what === 'agentConfig') return app.getUtils().buildJsSdkAgentConfig(agentId, path)
    const given = what === 'get' ? { params: values } : values
    return (await app.getClient()[what](path, given)).toObject()
  }
})

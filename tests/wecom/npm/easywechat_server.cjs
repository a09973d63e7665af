// A callback address that is node-easywechat's server alone: prints its port, then one JSON line per event; a member's
// text is answered in the same breath (a passive reply).
const http = require('http')
const { Work } = require('node-easywechat')
const ServerRequest = require('node-easywechat/dist/Core/Http/ServerRequest')

const config = JSON.parse(process.env.CONFIG)

async function served(request) {
  const app = new Work(config)
  app.setRequest(await ServerRequest.createFromIncomingMessage(request))
  const server = app.getServer()
  server.with(async (message, next) => {
    const { Event, ChangeType, UserID, ExternalUserID, Content } = message
    process.stdout.write(JSON.stringify({ Event, ChangeType, UserID, ExternalUserID, Content }) + '\n')
    return message.MsgType === 'text' ? `收到：${message.Content}` : next(message)
  })
  return server.serve()
}

const server = http.createServer(async (request, response) => {
  try {
    const answer = await served(request)
    response.end(answer.getBody().toString())
  } catch (error) {
    process.stdout.write(JSON.stringify({ problem: String(error && error.message) }) + '\n')
    response.statusCode = 500
    response.end()
  }
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))

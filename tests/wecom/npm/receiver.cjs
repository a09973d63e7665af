// A callback address that opens letters with @wecom/crypto alone: prints its port, then one JSON line per letter.
const http = require('http')
const wecom = require('@wecom/crypto')

const { TOKEN, AES_KEY, RECEIVE_ID } = process.env

function open(query, encrypted) {
  const signature = wecom.getSignature(TOKEN, query.get('timestamp'), query.get('nonce'), encrypted)
  const { message, id } = wecom.decrypt(AES_KEY, encrypted)
  return { good: signature === query.get('msg_signature') && id === RECEIVE_ID, message }
}

const server = http.createServer((request, response) => {
  const query = new URL(request.url, 'http://callback').searchParams
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    const body = Buffer.concat(parts).toString()
    const found = open(query, query.get('echostr') || /<Encrypt><!\[CDATA\[(.*?)\]\]>/.exec(body)[1])
    process.stdout.write(JSON.stringify(found) + '\n')
    response.end(query.has('echostr') ? found.message : '')
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))

// The typed calls of @easy-front-core-sdk/cpwx. Steps: [class, method, [arguments after the core]].
const sdk = require('@easy-front-core-sdk/cpwx')
const { run } = require('./steps.cjs')

run(({ corp, redis }) => {
  const core = sdk.CPWXCoreFactory.putCore(corp, redis)
  return (name, method, args) => sdk[name][method](core, ...args)
})

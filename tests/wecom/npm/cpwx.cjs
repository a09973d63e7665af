// The typed calls of @easy-front-core-sdk/cpwx. Steps: [class, method, [arguments after the core]].
const sdk = require('@easy-front-core-sdk/cpwx')
const { run } = require('./steps.cjs')

run(({ corp, redis }) => {
  const core = sdk.CPWXCoreFactory.putCore(corp, redis)
  // a robot has no token, so its calls take no core
  return (name, method, args) => sdk[name][method](...(name === 'GroupRobotAPI' ? [] : [core]), ...args)
})

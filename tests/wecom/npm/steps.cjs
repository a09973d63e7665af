// Reads {…, steps: […]} from stdin, runs each step and prints what came of all of them. A string "$<step>.<path>" in a
// step stands for a part of an earlier result.
function filled(value, results) {
  if (typeof value === 'string' && value.startsWith('$')) {
    const [step, ...path] = value.slice(1).split('.')
    return path.reduce((found, key) => found[key], results[Number(step)].ok)
  }
  if (Array.isArray(value)) return value.map((inner) => filled(inner, results))
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner, results)]))
  }
  return value === null ? undefined : value // the packages' optional arguments
}

async function run(prepare) {
  const given = JSON.parse(require('fs').readFileSync(0, 'utf8'))
  const step = await prepare(given)
  const results = []
  for (const one of given.steps) {
    try {
      results.push({ ok: await step(...filled(one, results)) })
    } catch (error) {
      results.push({ error: String((error && error.message) || error) })
    }
  }
  process.stdout.write(JSON.stringify(results), () => process.exit(0))
}

module.exports = { run }

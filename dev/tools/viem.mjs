// viem against a node: `node viem.mjs HTTP WS`, with the URLs of one that has the first 27 blocks of the
// chain that `check.mjs` describes. After the line `subscribed` the node is to import the others.

import { readFileSync } from 'node:fs'

import {
  BaseError,
  ContractFunctionRevertedError,
  ExecutionRevertedError,
  MethodNotFoundRpcError,
  concat,
  createPublicClient,
  decodeEventLog,
  defineChain,
  encodeErrorResult,
  fromRlp,
  getAddress,
  http,
  keccak256,
  pad,
  parseAbi,
  recoverTransactionAddress,
  serializeTransaction,
  webSocket,
} from 'viem'

import { assert, chain, check, range, refused, revertingCode, until, verifyProof } from './check.mjs'

const [httpUrl, wsUrl] = process.argv.slice(2)
const head = BigInt(chain.head)
const countedBlock = BigInt(chain.countedBlock)
const { counter } = chain
const { version } = JSON.parse(readFileSync(new URL('node_modules/viem/package.json', import.meta.url)))

const described = defineChain({
  id: Number(chain.id),
  name: 'Conformance',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [httpUrl], webSocket: [wsUrl] } },
})
// What fails is not tried again, and the head is asked for each time.
const retryCount = 0
const clientOver = (transport) => createPublicClient({ chain: described, transport, cacheTime: 0 })
const client = clientOver(http(httpUrl, { retryCount }))
const batching = clientOver(http(httpUrl, { retryCount, batch: true }))
const ws = clientOver(webSocket(wsUrl, { retryCount }))

/** The counter's logs have no name of their own, but what stands where the name would. */
const counted = {
  type: 'event',
  name: 'Counted',
  anonymous: true,
  inputs: [
    { name: 'name', type: 'bytes32', indexed: true },
    { name: 'input', type: 'bytes32', indexed: true },
    { name: 'calls', type: 'uint256' },
  ],
}
const envAbi = parseAbi([chain.envAbi])
const failed = (error) => assert.fail(error)

const heads = []
const numbers = []
const logs = { ws: [], polled: [] }
let stops = []

await check(`version ${version}`, async () => {
  assert.equal(await client.getChainId(), Number(chain.id))
  assert.match(await client.request({ method: 'web3_clientVersion' }), /^warpline\//)
  assert.equal(await client.getBlockNumber(), countedBlock)
  assert.equal(await ws.getBlockNumber(), countedBlock)
})

await check('subscriptions and filters are confirmed', async () => {
  const { subscribe } = ws.transport
  let subscribed = 0
  ws.transport.subscribe = async (args) => {
    const subscription = await subscribe(args)
    subscribed += 1
    return subscription
  }
  stops = [
    ws.watchBlocks({ onBlock: (block) => heads.push(block), onError: failed, includeTransactions: true }),
    ws.watchBlockNumber({ onBlockNumber: (number) => numbers.push(number), onError: failed }),
    ws.watchEvent({ address: counter, onLogs: (some) => logs.ws.push(...some), onError: failed }),
  ]
  const filter = await client.createEventFilter({ address: counter })
  let goesOn = true
  const polling = (async () => {
    while (goesOn) {
      logs.polled.push(...(await client.getFilterChanges({ filter })))
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  stops.push(async () => {
    goesOn = false
    await polling
    assert.equal(await client.uninstallFilter({ filter }), true)
    assert.equal(await client.uninstallFilter({ filter }), false)
  })
  await until('three subscriptions', () => subscribed === 3)
})

console.log('subscribed')

await check('all blocks that come are told', async () => {
  const expected = range(chain.countedBlock + 1, chain.head).map(BigInt)
  await until('the last block', () => numbers.at(-1) === head && heads.length >= expected.length)
  assert.deepEqual(numbers, expected)
  // Each was fetched when it was told of, all at once.
  const sorted = heads.map(({ number }) => number).sort((a, b) => Number(a - b))
  assert.deepEqual(sorted, expected)
})

await check('all logs that come are told', async () => {
  const expected = await client.getLogs({ address: counter, fromBlock: countedBlock + 1n })
  assert(expected.length > 20)
  for (const some of Object.values(logs)) {
    await until('the last log', () => some.length >= expected.length)
    assert.deepEqual(some, expected)
  }
})

await check('watching ends', async () => {
  for (const stop of stops) await stop()
  assert.equal(await ws.getBlockNumber(), head)
})

await check('blocks by number, tag and hash', async () => {
  const latest = await client.getBlock()
  assert.equal(latest.hash, chain.headHash)
  const same = [
    { blockHash: chain.headHash },
    { blockNumber: head },
    ...['pending', 'safe', 'finalized'].map((blockTag) => ({ blockTag })),
  ]
  for (const block of same) assert.deepEqual(await client.getBlock(block), latest)
  assert.equal((await client.getBlock({ blockTag: 'earliest' })).number, 0n)
  assert.equal(await client.getBlockTransactionCount({ blockNumber: 2n }), 59)
  const unknown = await refused(client.getBlock({ blockNumber: head + 1n }))
  assert.equal(unknown.name, 'BlockNotFoundError')
})

let transactions = []
await check('a batch of all blocks, each with the one before as its parent', async () => {
  const blocks = await Promise.all(
    range(0, chain.head).map((number) =>
      batching.getBlock({ blockNumber: BigInt(number), includeTransactions: true }),
    ),
  )
  for (const [number, block] of blocks.entries()) {
    assert.equal(block.number, BigInt(number))
    if (number > 0) assert.equal(block.parentHash, blocks[number - 1].hash)
  }
  transactions = blocks.flatMap((block) => block.transactions)
  assert.equal(transactions.length, chain.transactions)
})

await check('all transactions have the hash and the sender that their fields come to', async () => {
  for (const transaction of transactions) {
    const { r, s, v, yParity, input, gasPrice, type, hash, from, ...fields } = transaction
    const ofType = type === 'legacy' || type === 'eip2930' ? { gasPrice } : {}
    const unsigned = { ...fields, ...ofType, type, data: input }
    const signature = type === 'legacy' ? { r, s, v } : { r, s, yParity }
    const serialized = serializeTransaction(unsigned, signature)
    assert.equal(keccak256(serialized), hash)
    assert.equal(
      await recoverTransactionAddress({ serializedTransaction: serialized, signature }),
      getAddress(from),
    )
  }
  const types = new Set(transactions.map(({ type }) => type))
  assert.deepEqual([...types].sort(), ['eip1559', 'eip2930', 'eip4844', 'eip7702', 'legacy'])
})

await check('receipts, and all logs by filter', async () => {
  // Block 2 has dozens of transactions with 190,000 bytes of logs each.
  const looked = transactions.filter(({ blockNumber }) => blockNumber !== 2n)
  const receipts = await Promise.all(looked.map(({ hash }) => batching.getTransactionReceipt({ hash })))
  for (const [index, receipt] of receipts.entries()) {
    const { hash, blockNumber, from, to, type } = looked[index]
    assert.deepEqual(
      [receipt.transactionHash, receipt.blockNumber, receipt.from, receipt.to, receipt.type],
      [hash, blockNumber, from, to, type],
    )
    // Byzantium brought the status.
    assert.equal(receipt.status === null, blockNumber < 9n)
    assert.equal(receipt.blobGasUsed !== undefined, type === 'eip4844')
  }
  const found = await client.getLogs({ fromBlock: 3n })
  assert.deepEqual(found, receipts.flatMap(({ logs }) => logs))
  const last = await client.getBlockReceipts({ blockNumber: head })
  assert.deepEqual(last, receipts.slice(-last.length))
  const { blockHash } = receipts.at(-1)
  const inOne = await client.getLogs({ blockHash })
  assert.deepEqual(inOne, found.filter((log) => log.blockHash === blockHash))
})

await check('transactions as they were signed', async () => {
  for (const { hash, type } of transactions.filter(({ blockNumber }) => blockNumber === 45n)) {
    // Those with blobs are kept without them, which is what the hash is of.
    assert.equal(keccak256(await client.getRawTransaction({ hash })), hash, type)
  }
})

await check('a log is decoded', async () => {
  const { logs } = await client.getTransactionReceipt({ hash: chain.counted })
  const { args } = decodeEventLog({ abi: [counted], ...logs[0] })
  assert.deepEqual(args, { name: chain.emit, input: chain.countedSlot, calls: 0x13n })
})

await check('waiting for a transaction that is there', async () => {
  const receipt = await client.waitForTransactionReceipt({ hash: chain.counted, timeout: 10_000 })
  assert.equal(receipt.blockNumber, countedBlock)
  const confirmations = await client.getTransactionConfirmations({ hash: chain.counted })
  assert.equal(confirmations, head - countedBlock + 1n)
  const hash = `0x${'ab'.repeat(32)}`
  assert.equal((await refused(client.getTransaction({ hash }))).name, 'TransactionNotFoundError')
  const error = await refused(client.getTransactionReceipt({ hash }))
  assert.equal(error.name, 'TransactionReceiptNotFoundError')
})

await check('the state now and then', async () => {
  const { rich, sender, nobody, delegated, countedSlot: slot } = chain
  assert.equal(await client.getBalance({ address: rich }), 1000000000000000000000000100000000003n)
  assert.equal(
    await client.getBalance({ address: sender, blockNumber: 3n }),
    999999999999999999999999999908066432n,
  )
  assert.equal(await client.getBalance({ address: nobody }), 0n)
  assert.equal(await client.getCode({ address: counter }), chain.counterCode)
  assert.equal(await client.getCode({ address: chain.env, blockTag: 'earliest' }), undefined)
  assert.match(await client.getDelegation({ address: delegated }), /^0x[0-9a-fA-F]{40}$/)
  assert.equal(await client.getTransactionCount({ address: sender, blockNumber: 10n }), 89)
  assert.equal(await client.getStorageAt({ address: counter, slot: '0x0' }), pad('0x38'))
  const values = await client.getStorageValues({ requests: { [counter]: [pad('0x0'), slot] } })
  assert.deepEqual(values, { [counter]: [pad('0x38'), pad('0x13')] })
  for (const [blockNumber, value] of [[countedBlock - 1n, '0x0'], [countedBlock, '0x13']]) {
    const found = await client.getStorageAt({ address: counter, slot, blockNumber })
    assert.equal(found, pad(value))
  }
})

await check('fees', async () => {
  const { baseFeePerGas } = await client.getBlock()
  assert.equal(await client.getGasPrice(), baseFeePerGas)
  // Nobody on this chain pays a tip from which one could be suggested.
  assert.equal(await client.estimateMaxPriorityFeePerGas(), 0n)
  assert.equal((await client.estimateFeesPerGas()).maxPriorityFeePerGas, 0n)
  assert.equal(await client.getBlobBaseFee(), 1n)
  const history = await client.getFeeHistory({ blockCount: 5, rewardPercentiles: [10, 50] })
  assert.equal(history.oldestBlock, head - 4n)
  assert.equal(history.baseFeePerGas[4], baseFeePerGas)
  assert.deepEqual([history.gasUsedRatio.length, history.reward.length], [5, 5])
})

await check('calls of a contract, now and at old blocks', async () => {
  const env = { address: chain.env, abi: envAbi, functionName: 'env' }
  for (const blockNumber of [head, 30n]) {
    const block = await client.getBlock({ blockNumber })
    const [number, id, , , , origin] = await client.readContract({ ...env, blockNumber, account: chain.rich })
    assert.deepEqual([number, id, origin], [block.number, chain.id, getAddress(chain.rich)])
  }
  const { result } = await client.simulateContract({ ...env, account: chain.rich, value: 23n })
  assert.equal(result[6], 23n)
  // Before London there was no such opcode as the one for the base fee.
  await refused(client.readContract({ ...env, blockNumber: 10n }))
  const many = await client.multicall({ contracts: [env, env], deployless: true })
  assert.deepEqual(many.map(({ status, result }) => [status, result[0]]), Array(2).fill(['success', head]))
})

await check('overrides of the state and of the block', async () => {
  // Returns what is in slot 0 and the balance.
  const code = '0x6000545f524760205260405ff3'
  const stateDiff = [{ slot: pad('0x0'), value: pad('0x2a') }]
  const override = { address: chain.nobody, code, balance: 7n, stateDiff }
  const { data } = await client.call({ to: chain.nobody, stateOverride: [override] })
  assert.equal(data, concat([pad('0x2a'), pad('0x7')]))
  const whole = { address: counter, code, state: [{ slot: pad('0x1'), value: pad('0x1') }] }
  const replaced = await client.call({ to: counter, stateOverride: [whole] })
  assert.equal(BigInt(replaced.data.slice(0, 66)), 0n)
  const poor = { account: chain.nobody, to: chain.rich, value: 1n }
  await refused(client.estimateGas(poor))
  const stateOverride = [{ address: chain.nobody, balance: 10n ** 18n }]
  assert.equal(await client.estimateGas({ ...poor, stateOverride }), 21000n)
  const later = await client.call({ to: chain.env, blockOverrides: { number: 1234n, baseFeePerGas: 5n } })
  assert.equal(BigInt(later.data.slice(0, 66)), 1234n)
})

await check('simulated blocks', async () => {
  const { nobody, rich } = chain
  const env = { to: chain.env, abi: envAbi, functionName: 'env' }
  const [first, second] = await client.simulateBlocks({
    blocks: [
      { calls: [{ account: rich, to: nobody, value: 5n }], blockOverrides: { gasLimit: 90_000_000n } },
      { calls: [{ account: nobody, to: rich, value: 3n }, env] },
    ],
    traceTransfers: true,
  })
  assert.deepEqual([first.number, second.number], [head + 1n, head + 2n])
  assert.equal(first.gasLimit, 90_000_000n)
  assert.deepEqual([first.calls[0].status, first.calls[0].gasUsed], ['success', 21000n])
  assert.equal(first.calls[0].logs.length, 1)
  assert.equal(second.calls[1].result[0], head + 2n)
  const { results, assetChanges } = await client.simulateCalls({
    account: chain.rich,
    calls: [{ to: chain.nobody, value: 9n }],
    traceAssetChanges: true,
  })
  assert.equal(results[0].status, 'success')
  assert.equal(assetChanges[0].value.diff, -9n)
})

await check('reasons of reverts', async () => {
  const call = { address: chain.reverts, functionName: 'go' }
  const error = await refused(client.readContract({ ...call, abi: parseAbi(['function go() view']) }))
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError)
  assert.equal(reverted.reason, 'user error')
  const plain = await refused(client.call({ to: chain.reverts, data: '0x01' }))
  assert(plain.walk((cause) => cause instanceof ExecutionRevertedError))
  assert.match(plain.details, /user error/)
  const estimated = await refused(client.estimateGas({ to: chain.reverts, data: '0x01' }))
  assert(estimated.walk((cause) => cause instanceof ExecutionRevertedError))

  const abi = parseAbi(['function go() view', 'error TooFew(uint256 have, uint256 need)'])
  const panics = parseAbi(['error Panic(uint256)'])
  for (const [errorName, args, errors] of [['TooFew', [3n, 5n], abi], ['Panic', [1n], panics]]) {
    const code = revertingCode(encodeErrorResult({ abi: errors, errorName, args }))
    const stateOverride = [{ address: chain.reverts, code }]
    const error = await refused(client.readContract({ ...call, abi, stateOverride }))
    const { data } = error.walk((cause) => cause instanceof ContractFunctionRevertedError)
    assert.deepEqual([data.errorName, data.args], [errorName, args])
  }
})

await check('gas estimates and access lists', async () => {
  const { rich: account, nobody: to } = chain
  const prepared = await client.prepareTransactionRequest({ account, to, value: 1n })
  assert.deepEqual([prepared.type, prepared.nonce, prepared.gas], ['eip1559', 0, 21000n])
  const call = { account: chain.rich, to: counter, data: '0x010203' }
  const estimate = await client.estimateGas(call)
  assert(estimate > 40000n && estimate < 60000n)
  const { accessList, gasUsed } = await client.createAccessList(call)
  assert(gasUsed > 40000n && gasUsed < 60000n)
  const [{ address, storageKeys }] = accessList
  assert.equal(address, counter)
  assert.deepEqual([...storageKeys].sort(), [pad('0x0'), keccak256('0x010203')].sort())
})

await check('traces', async () => {
  const { gasUsed } = await client.getTransactionReceipt({ hash: chain.counted })
  const params = [chain.counted, { tracer: 'callTracer' }]
  const trace = await client.request({ method: 'debug_traceTransaction', params })
  assert.deepEqual([trace.type, trace.to, BigInt(trace.gasUsed)], ['CALL', counter, gasUsed])
})

await check('proofs, verified', async () => {
  const decodeRlp = (encoded) => fromRlp(encoded, 'hex')
  const cases = [
    [counter, ['0x0', chain.countedSlot, '0x1234'], head, true],
    [counter, [chain.countedSlot], countedBlock - 1n, true],
    [counter, [chain.countedSlot], countedBlock, true],
    [chain.rich, ['0x0'], head, true],
    [chain.nobody, ['0x0'], head, false],
    [chain.env, [], 0n, false],
  ]
  for (const [address, slots, blockNumber, exists] of cases) {
    const { stateRoot } = await client.getBlock({ blockNumber })
    const storageKeys = slots.map((slot) => pad(slot))
    const answer = await client.getProof({ address, storageKeys, blockNumber })
    assert.equal(verifyProof(stateRoot, answer, { keccak256, decodeRlp }), exists)
    assert.equal(answer.storageProof.length, slots.length)
    // The same answer does not pass for another block's state, nor with a field that is not so.
    const other = await client.getBlock({ blockNumber: blockNumber === 0n ? 1n : blockNumber - 1n })
    assert.throws(() => verifyProof(other.stateRoot, answer, { keccak256, decodeRlp }))
    const forged = { ...answer, nonce: answer.nonce + 1 }
    assert.throws(() => verifyProof(stateRoot, forged, { keccak256, decodeRlp }))
  }
})

await check('an error in a batch is its own', async () => {
  const [number, error, code] = await Promise.all([
    batching.getBlockNumber(),
    refused(batching.request({ method: 'eth_nonsense' })),
    batching.getCode({ address: counter }),
  ])
  assert.deepEqual([number, code], [head, chain.counterCode])
  assert(error instanceof BaseError && error.walk((cause) => cause instanceof MethodNotFoundRpcError))
})

await check('transactions are refused, and there are none waiting', async () => {
  const error = await refused(client.sendRawTransaction({ serializedTransaction: chain.unsent }))
  assert.match(error.details, /this node has no transaction pool/)
  const status = await client.request({ method: 'txpool_status' })
  assert.deepEqual(status, { pending: '0x0', queued: '0x0' })
})

await check('the same over WebSocket', async () => {
  const [block, env, trace] = await Promise.all([
    ws.getBlock(),
    ws.readContract({ address: chain.env, abi: envAbi, functionName: 'env' }),
    ws.request({ method: 'debug_traceTransaction', params: [chain.counted, { tracer: 'callTracer' }] }),
  ])
  assert.deepEqual([block.hash, env[0], trace.to], [chain.headHash, head, counter])
  const error = await refused(ws.call({ to: chain.reverts, data: '0x01' }))
  assert.match(error.details, /user error/)
})

console.log('all passed')
process.exit(0)

// ethers against a node: `node ethers.mjs HTTP WS`, with the URLs of one that has the first 27 blocks of the
// chain that `check.mjs` describes. After the line `subscribed` the node is to import the others.

import {
  AbiCoder,
  Contract,
  Interface,
  JsonRpcProvider,
  Network,
  Transaction,
  WebSocketProvider,
  decodeRlp,
  getAddress,
  isCallException,
  isError,
  keccak256,
  toBeHex,
  version,
} from 'ethers'

import { assert, chain, check, range, refused, revertingCode, until, verifyProof } from './check.mjs'

const [httpUrl, wsUrl] = process.argv.slice(2)
const { head, counter, emit } = chain

/** Knows what was answered: ethers does not say when a subscription or a filter stands. */
const counting = (Provider) =>
  class extends Provider {
    answered = {}

    async send(method, params) {
      const result = await super.send(method, params)
      this.answered[method] = (this.answered[method] ?? 0) + 1
      return result
    }
  }

const options = { staticNetwork: Network.from(chain.id), pollingInterval: 50 }
const http = new JsonRpcProvider(httpUrl, undefined, options)
const ws = new (counting(WebSocketProvider))(wsUrl)
const polling = new (counting(JsonRpcProvider))(httpUrl, undefined, options)

/** What was told of, by whom. */
const told = { ws: { blocks: [], logs: [] }, polling: { blocks: [], logs: [] } }
const ofCounter = { address: counter, topics: [emit] }

await check(`version ${version}`, async () => {
  assert.equal((await http.getNetwork()).chainId, chain.id)
  assert.equal((await ws.getNetwork()).chainId, chain.id)
  assert.match(await http.send('web3_clientVersion', []), /^warpline\//)
  assert.equal(await http.getBlockNumber(), chain.countedBlock)
})

await check('subscriptions and filters are confirmed', async () => {
  for (const [name, provider] of Object.entries({ ws, polling })) {
    await provider.on('block', (number) => told[name].blocks.push(number))
    await provider.on(ofCounter, (log) => told[name].logs.push(log))
  }
  await until('newHeads and logs', () => ws.answered.eth_subscribe === 2)
  await until('a filter of logs', () => polling.answered.eth_newFilter === 1)
  // Blocks are polled by their number, from the one that was first seen.
  await until('the first poll', () => polling.answered.eth_blockNumber > 0)
})

console.log('subscribed')

await check('all blocks that come are told', async () => {
  await until('the last block', () => told.ws.blocks.at(-1) === head)
  assert.deepEqual(told.ws.blocks, range(chain.countedBlock + 1, head))
  await until('the last block polled', () => told.polling.blocks.at(-1) === head)
})

await check('all logs that come are told', async () => {
  const between = { ...ofCounter, fromBlock: chain.countedBlock + 1, toBlock: head }
  const expected = (await http.getLogs(between)).map((log) => log.toJSON())
  assert(expected.length > 20)
  for (const { logs } of Object.values(told)) {
    await until('the last log', () => logs.length >= expected.length)
    assert.deepEqual(logs.map((log) => log.toJSON()), expected)
  }
})

await check('listeners are taken back', async () => {
  for (const provider of [ws, polling]) await provider.removeAllListeners()
  assert.equal(await ws.getBlockNumber(), head)
})

await check('blocks by number, tag and hash', async () => {
  const latest = await http.getBlock('latest')
  assert.equal(latest.hash, chain.headHash)
  for (const same of ['pending', 'safe', 'finalized', head, chain.headHash]) {
    assert.deepEqual((await http.getBlock(same)).toJSON(), latest.toJSON())
  }
  assert.equal((await http.getBlock('earliest')).number, 0)
  assert.equal(await http.getBlock(head + 1), null)
  assert.equal(await http.getBlock(`0x${'ab'.repeat(32)}`), null)
})

let transactions = []
await check('a batch of all blocks, each with the one before as its parent', async () => {
  const blocks = await Promise.all(range(0, head).map((number) => http.getBlock(number, true)))
  for (const [number, block] of blocks.entries()) {
    assert.equal(block.number, number)
    if (number > 0) assert.equal(block.parentHash, blocks[number - 1].hash)
  }
  transactions = blocks.flatMap((block) => block.prefetchedTransactions)
  assert.equal(transactions.length, chain.transactions)
})

await check('all transactions have the hash and the sender that their fields come to', () => {
  for (const transaction of transactions) {
    const again = Transaction.from(transaction)
    assert.equal(again.hash, transaction.hash)
    assert.equal(again.from, transaction.from)
  }
  assert.deepEqual([...new Set(transactions.map(({ type }) => type))].sort(), [0, 1, 2, 3, 4])
})

await check('receipts, and all logs by filter', async () => {
  // Block 2 has dozens of transactions with 190,000 bytes of logs each.
  const looked = transactions.filter(({ blockNumber }) => blockNumber !== 2)
  const receipts = await Promise.all(looked.map(({ hash }) => http.getTransactionReceipt(hash)))
  for (const [index, receipt] of receipts.entries()) {
    const { hash, blockNumber, from, to, gasPrice } = looked[index]
    assert.deepEqual(
      [receipt.hash, receipt.blockNumber, receipt.from, receipt.to, receipt.gasPrice],
      [hash, blockNumber, from, to, gasPrice],
    )
    // Byzantium brought the status, and took the root of the state.
    assert.equal((receipt.status ?? null) === null, blockNumber < 9)
    assert.equal((receipt.root ?? null) !== null, blockNumber < 9)
  }
  // ethers reads `removed` of logs that were filtered, and not of those in receipts.
  const plain = (log) => ({ ...log.toJSON(), removed: false })
  const logs = receipts.flatMap((receipt) => receipt.logs.map(plain))
  const found = await http.getLogs({ fromBlock: 3, toBlock: 'latest' })
  assert.deepEqual(found.map((log) => log.toJSON()), logs)
  const { blockHash } = receipts.at(-1)
  const inOne = await http.getLogs({ blockHash })
  assert.deepEqual(
    inOne.map((log) => log.toJSON()),
    logs.filter((log) => log.blockHash === blockHash),
  )
  const topics = [[emit, `0x${'00'.repeat(32)}`], [chain.countedSlot]]
  const either = await http.getLogs({ topics, fromBlock: 0 })
  assert.deepEqual(either.map((log) => log.transactionHash), [chain.counted])
})

await check('a log is decoded', async () => {
  const inputs = [
    { name: 'name', type: 'bytes32', indexed: true },
    { name: 'input', type: 'bytes32', indexed: true },
    { name: 'calls', type: 'uint256' },
  ]
  const abi = new Interface([{ type: 'event', name: 'Counted', anonymous: true, inputs }])
  const [log] = (await http.getTransactionReceipt(chain.counted)).logs
  const { name, input, calls } = abi.decodeEventLog('Counted', log.data, log.topics)
  assert.deepEqual([name, input, calls], [emit, chain.countedSlot, 0x13n])
})

await check('waiting for a transaction that is there', async () => {
  const receipt = await http.waitForTransaction(chain.counted, 2, 10_000)
  assert.equal(receipt.blockNumber, chain.countedBlock)
  assert.equal(await receipt.confirmations(), head - chain.countedBlock + 1)
  assert.equal(await http.getTransaction(`0x${'ab'.repeat(32)}`), null)
  assert.equal(await http.getTransactionReceipt(`0x${'ab'.repeat(32)}`), null)
})

await check('the state now and then', async () => {
  assert.equal(await http.getBalance(chain.rich), 1000000000000000000000000100000000003n)
  assert.equal(await http.getBalance(chain.sender, 3), 999999999999999999999999999908066432n)
  assert.equal(await http.getBalance(chain.nobody), 0n)
  assert.equal(await http.getCode(counter), chain.counterCode)
  assert.equal(await http.getCode(chain.env, 0), '0x')
  assert.match(await http.getCode(chain.delegated), /^0xef0100[0-9a-f]{40}$/)
  assert.equal(await http.getTransactionCount(chain.sender, 10), 89)
  assert.equal(await http.getTransactionCount(chain.delegated, chain.headHash), 1)
  assert.equal(await http.getStorage(counter, 0), toBeHex(0x38, 32))
  assert.equal(await http.getStorage(counter, chain.countedSlot, chain.countedBlock - 1), toBeHex(0, 32))
  assert.equal(await http.getStorage(counter, chain.countedSlot, chain.countedBlock), toBeHex(0x13, 32))
})

await check('fees', async () => {
  const { baseFeePerGas } = await http.getBlock('latest')
  const { gasPrice, maxFeePerGas, maxPriorityFeePerGas } = await http.getFeeData()
  // Nobody on this chain pays a tip from which one could be suggested.
  assert.deepEqual(
    [gasPrice, maxFeePerGas, maxPriorityFeePerGas],
    [baseFeePerGas, 2n * baseFeePerGas, 0n],
  )
  const history = await http.send('eth_feeHistory', [toBeHex(5), 'latest', [10, 50]])
  assert.equal(BigInt(history.oldestBlock), BigInt(head - 4))
  assert.deepEqual(
    [history.baseFeePerGas.length, history.gasUsedRatio.length, history.reward.length],
    [6, 5, 5],
  )
  assert.equal(BigInt(history.baseFeePerGas[4]), baseFeePerGas)
})

await check('calls of a contract, now and at old blocks', async () => {
  const env = new Contract(chain.env, [chain.envAbi], http)
  for (const blockTag of ['latest', 30, chain.headHash]) {
    const block = await http.getBlock(blockTag)
    const seen = await env.env({ blockTag, from: chain.rich })
    assert.deepEqual(
      [seen.number, seen.chainId, seen.origin, seen.value],
      [BigInt(block.number), chain.id, getAddress(chain.rich), 0n],
    )
  }
  const raw = await http.call({ to: chain.env, from: chain.rich, value: 23n })
  assert.equal(AbiCoder.defaultAbiCoder().decode(Array(7).fill('uint256'), raw)[6], 23n)
  // Before London there was no such opcode as the one for the base fee.
  await refused(env.env({ blockTag: 10 }))
})

await check('reasons of reverts', async () => {
  const abi = new Interface(['error TooFew(uint256 have, uint256 need)', 'error Error(string)'])
  // A creation that does not come about.
  const reverting = (name, args) => ({ data: revertingCode(abi.encodeErrorResult(name, args)) })
  for (const attempt of ['call', 'estimateGas']) {
    const error = await refused(http[attempt](reverting('Error', ['not today'])))
    assert(isCallException(error))
    assert.deepEqual([error.reason, error.revert.name], ['not today', 'Error'])
    const panic = await refused(http[attempt]({ to: chain.reverts, data: '0x00' }))
    assert.deepEqual([panic.revert.name, panic.reason], ['Panic', 'Panic due to ASSERT_FALSE(1)'])
    const custom = await refused(http[attempt](reverting('TooFew', [3, 5])))
    const { name, args } = abi.parseError(custom.data)
    assert.deepEqual([name, [...args]], ['TooFew', [3n, 5n]])
  }
  // What this contract returns ends before the last word does, which ethers does not decode.
  const error = await refused(http.call({ to: chain.reverts, data: '0x01' }))
  assert.match(error.info.error.message, /^execution reverted: user error$/)
})

await check('gas estimates and access lists', async () => {
  assert.equal(await http.estimateGas({ from: chain.rich, to: chain.nobody, value: 1n }), 21000n)
  const call = { from: chain.rich, to: counter, data: '0x010203' }
  const estimate = await http.estimateGas(call)
  assert(estimate > 40000n && estimate < 60000n)
  const made = await http.send('eth_createAccessList', [call, 'latest'])
  assert.equal(made.error, undefined)
  const [{ address, storageKeys }] = made.accessList
  assert.equal(address, counter)
  assert.deepEqual(storageKeys.sort(), [toBeHex(0, 32), keccak256('0x010203')].sort())
})

await check('traces', async () => {
  const receipt = await http.getTransactionReceipt(chain.counted)
  const trace = await http.send('debug_traceTransaction', [chain.counted, { tracer: 'callTracer' }])
  assert.deepEqual(
    [trace.type, trace.to, BigInt(trace.gasUsed)],
    ['CALL', counter, receipt.gasUsed],
  )
  const all = await http.send('debug_traceBlockByNumber', ['0x1b', { tracer: 'callTracer' }])
  const { transactions } = await http.getBlock(chain.countedBlock)
  assert.deepEqual(all.map(({ txHash }) => txHash), [...transactions])
})

await check('proofs, verified', async () => {
  const cases = [
    [counter, ['0x0', chain.countedSlot, '0x1234'], 'latest', true],
    [counter, [chain.countedSlot], chain.countedBlock - 1, true],
    [counter, [chain.countedSlot], chain.countedBlock, true],
    [chain.rich, ['0x0'], 'latest', true],
    [chain.sender, [], 10, true],
    [chain.nobody, ['0x0'], 'latest', false],
    [chain.env, [], 0, false],
  ]
  for (const [address, slots, at, exists] of cases) {
    const block = await http.getBlock(at)
    const answer = await http.send('eth_getProof', [address, slots, toBeHex(block.number)])
    assert.equal(verifyProof(block.stateRoot, answer, { keccak256, decodeRlp }), exists)
    assert.equal(answer.storageProof.length, slots.length)
    // The same answer does not pass for another block's state, nor with a field that is not so.
    const other = await http.getBlock(block.number === 0 ? 1 : block.number - 1)
    assert.throws(() => verifyProof(other.stateRoot, answer, { keccak256, decodeRlp }))
    const forged = { ...answer, balance: toBeHex(BigInt(answer.balance) + 1n) }
    assert.throws(() => verifyProof(block.stateRoot, forged, { keccak256, decodeRlp }))
  }
})

await check('an error in a batch is its own', async () => {
  const [number, error, code] = await Promise.all([
    http.getBlockNumber(),
    refused(http.send('eth_nonsense', [])),
    http.getCode(counter),
  ])
  assert.deepEqual([number, code], [head, chain.counterCode])
  assert(isError(error, 'UNSUPPORTED_OPERATION') || error.error?.code === -32601, error)
})

await check('transactions are refused, and there are none waiting', async () => {
  const error = await refused(http.broadcastTransaction(chain.unsent))
  assert.match(error.message, /this node has no transaction pool/)
  assert.deepEqual(await http.send('txpool_status', []), { pending: '0x0', queued: '0x0' })
  assert.deepEqual(await http.listAccounts(), [])
})

await check('the same over WebSocket', async () => {
  const [block, env, trace] = await Promise.all([
    ws.getBlock('latest'),
    new Contract(chain.env, [chain.envAbi], ws).env(),
    ws.send('debug_traceTransaction', [chain.counted, { tracer: 'callTracer' }]),
  ])
  assert.deepEqual([block.hash, env.number, trace.to], [chain.headHash, BigInt(head), counter])
  const error = await refused(ws.call({ to: chain.reverts, data: '0x00' }))
  assert.equal(error.revert.name, 'Panic')
})

for (const provider of [ws, http, polling]) await provider.destroy()
console.log('all passed')
process.exit(0)

// What the checks of all clients share: how they are told, and proofs of the state that are verified without
// trusting the node or the client's library.

import assert from 'node:assert/strict'

export { assert }

/** Runs one check and says so. The first that fails, or does not end, ends the process. */
export async function check(name, run) {
  const failed = (error) => {
    console.log(`FAILED  ${name}`)
    console.error(error)
    process.exit(1)
  }
  const hangs = setTimeout(() => failed('not done after two minutes'), 120_000)
  try {
    await run()
  } catch (error) {
    failed(error)
  }
  clearTimeout(hangs)
  console.log(`ok      ${name}`)
}

/** What `promise` is rejected with; that it is not is a failure. */
export async function refused(promise) {
  const answer = await promise.then(
    (value) => ({ value }),
    (error) => ({ error }),
  )
  assert(answer.error, `an error was expected, not ${JSON.stringify(answer.value, unbig)}`)
  return answer.error
}

/** Waits until `done()` holds, and says after a while that `what` did not happen. */
export async function until(what, done) {
  for (const end = Date.now() + 60_000; !(await done()); ) {
    assert(Date.now() < end, `not within a minute: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const unbig = (_, value) => (typeof value === 'bigint' ? `${value}` : value)

/** The numbers from `first` to `last`. */
export const range = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

/** The root of a trie with nothing in it. */
export const EMPTY_ROOT = '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421'

/** The hash of no code. */
export const EMPTY_CODE = '0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'

/**
 * What the trie with the given root has at `key` (the hash of an address or a slot) according to `nodes`:
 * the RLP of the value, or `null` where they show that there is none. Throws where they show neither.
 */
export function proven(root, key, nodes, { keccak256, decodeRlp }) {
  if (nodes.length === 0) {
    assert.equal(root, EMPTY_ROOT, 'only an empty trie needs no proof')
    return null
  }
  let expected = root
  let path = key.slice(2)
  for (const [index, encoded] of nodes.entries()) {
    const ends = index === nodes.length - 1
    assert.equal(keccak256(encoded), expected, `node ${index} of ${nodes.length} is another`)
    // A node shorter than 32 bytes stands within its parent instead of its hash.
    let node = decodeRlp(encoded)
    while (Array.isArray(node)) {
      let child
      if (node.length === 17) {
        child = path === '' ? node[16] : node[Number.parseInt(path[0], 16)]
        assert(path !== '', 'all keys of these tries are of one length')
        path = path.slice(1)
      } else {
        assert.equal(node.length, 2)
        const flag = Number.parseInt(node[0][2], 16)
        const nibbles = node[0].slice(flag & 1 ? 3 : 4)
        if (!path.startsWith(nibbles)) {
          assert(ends, 'nodes after the end')
          return null
        }
        path = path.slice(nibbles.length)
        if (flag & 2) {
          assert(ends && path === '', 'a leaf is the end')
          return node[1]
        }
        child = node[1]
      }
      if (child === '0x') {
        assert(ends, 'nodes after the end')
        return null
      }
      node = child
    }
    expected = node
  }
  assert.fail('the proof ends too early')
}

/**
 * Verifies the answer to `eth_getProof` against a state root: every field of the account and every slot,
 * or that they are not there.
 */
export function verifyProof(stateRoot, answer, { keccak256, decodeRlp }) {
  const tools = { keccak256, decodeRlp }
  const account = proven(stateRoot, keccak256(answer.address), answer.accountProof, tools)
  const fields = account === null ? ['0x', '0x', EMPTY_ROOT, EMPTY_CODE] : decodeRlp(account)
  assert.equal(BigInt(answer.nonce), number(fields[0]))
  assert.equal(BigInt(answer.balance), number(fields[1]))
  assert.equal(answer.storageHash, fields[2])
  assert.equal(answer.codeHash, fields[3])
  for (const { key, value, proof } of answer.storageProof) {
    const slot = `0x${BigInt(key).toString(16).padStart(64, '0')}`
    const found = proven(answer.storageHash, keccak256(slot), proof, tools)
    assert.equal(BigInt(value), found === null ? 0n : number(decodeRlp(found)))
  }
  return account !== null
}

const number = (hex) => (hex === '0x' ? 0n : BigInt(hex))

/** What all clients read, of the chain that the conformance tests of JSON-RPC use. */
export const chain = {
  id: 3503995874084926n,
  head: 54,
  headHash: '0xd226371d0b1551adb03fb52b71f08e3e11247fe9b1af994768af8cdaa8e7dcd7',
  transactions: 249,
  /** Has much. */
  rich: '0x0c2c51a0990aee1d73c1228de158688341557508',
  /** Sent most transactions. */
  sender: '0x7435ed30a8b4aeb0877cef0c6e8cffe834eb865f',
  /** Is nobody. */
  nobody: '0xc1cadaffffffffffffffffffffffffffffffffff',
  /** Counts its calls in slot 0, keeps the number of the call under the hash of its input, and logs both. */
  counter: '0x7dcd17433742f4c0ca53122ab541d0ba67fc27df',
  counterCode: '0x3680600080376000206000548082558060010160005560005263656d697460206000a2',
  /** The first topic of the counter's logs. */
  emit: '0x00000000000000000000000000000000000000000000000000000000656d6974',
  /** A slot of the counter that the first transaction of block 27 sets. */
  countedSlot: '0x13bd2394f758553be374ffa4a9455cdf5e6ef3d905acd02746df2d12361e1ace',
  /** That transaction: of type 2, with an access list. */
  counted: '0x205405746564cbcf1dd53fb5ac92c7622d3792d82f03c59d9baddf2443d91864',
  countedBlock: 27,
  /** Returns the environment it is called in. Made in block 1. */
  env: '0x9344b07175800259691961298ca11c824e65032d',
  envAbi:
    'function env() view returns (uint256 number, uint256 chainId, address coinbase, uint256 baseFee, ' +
    'uint256 random, address origin, uint256 value)',
  /** Reverts with `Error("user error")`, or with `Panic(1)` where the input begins with zeros. */
  reverts: '0x0ee3ab1371c93e7c0c281cc0c2107cdebc8b1930',
  /** An account that has delegated to code, by a transaction of type 4. */
  delegated: '0xeda8645ba6948855e3b3cd596bbb07596d59c603',
  /** A transaction that was not sent to this chain. */
  unsent:
    '0xf86c808401a213988261a894aa000000000000000000000000000000000000000a8255448718e5bb3abd109fa073fb' +
    'e7ff7e74339e7cc61fb3cb3f7630cd3f1d5fef653d7297654b2d22894daea042a188d30f35f19408c73c803bc1e9e17c' +
    'e129c457e31fd2a368b54507af2f4c',
}

/** Code that, executed as a contract's or as that which makes one, reverts with `data` of up to 68 bytes. */
export function revertingCode(data) {
  const bytes = data.slice(2)
  const parts = range(0, Math.ceil(bytes.length / 64) - 1).map((index) => {
    const word = bytes.slice(64 * index, 64 * (index + 1)).padEnd(64, '0')
    return `7f${word}60${(32 * index).toString(16).padStart(2, '0')}52`
  })
  return `0x${parts.join('')}60${(bytes.length / 2).toString(16).padStart(2, '0')}6000fd`
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Compiles src/*.sol and writes one artifacts/NAME.json each. Same sources, same compiler, same
// bytes: no metadata hash in the code, no paths and no dates in the artefact.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import sha3 from "js-sha3";
import solc from "solc";

const here = (path) => new URL(path, import.meta.url);
const settings = {
  optimizer: { enabled: true, runs: 1_000_000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};
const wanted = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object",
  "evm.deployedBytecode.immutableReferences", "storageLayout"];

// The compiler numbers its syntax nodes; the numbers say nothing and change with every edit.
const withoutNodeIds = (text) => text.replace(/\)\d+/g, ")");

function layoutOf({ storage, types }) {
  const slots = storage.map(({ label, slot, offset, type }) =>
    ({ label, slot: Number(slot), offset, type: types[type].label }));
  return JSON.parse(withoutNodeIds(JSON.stringify(slots)));
}

function compile(name) {
  const source = readFileSync(here(`src/${name}.sol`), "utf8");
  const input = {
    language: "Solidity",
    sources: { [`${name}.sol`]: { content: source } },
    settings: { ...settings, outputSelection: { "*": { "*": wanted } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const complaints = (output.errors ?? []).map((error) => error.formattedMessage);
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  const contract = output.contracts[`${name}.sol`][name];
  const { bytecode, deployedBytecode } = contract.evm;
  if (Object.keys(deployedBytecode.immutableReferences ?? {}).length > 0) {
    throw new Error(`${name} has immutables, which a generator cannot set as slots`);
  }
  return {
    contract: name,
    compiler: solc.version(),
    settings,
    sourceKeccak256: `0x${sha3.keccak256(source)}`,
    abi: contract.abi,
    storageLayout: layoutOf(contract.storageLayout),
    bytecode: `0x${bytecode.object}`,
    deployedBytecode: `0x${deployedBytecode.object}`,
  };
}

mkdirSync(here("artifacts"), { recursive: true });
for (const file of readdirSync(here("src")).filter((file) => file.endsWith(".sol")).sort()) {
  const name = file.replace(/\.sol$/, "");
  writeFileSync(here(`artifacts/${name}.json`), `${JSON.stringify(compile(name), null, 2)}\n`);
  console.log(`artifacts/${name}.json`);
}

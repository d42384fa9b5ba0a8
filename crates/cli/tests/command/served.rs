//! What a node of the tests has: blocks, and the states before them, in each form in which nodes give them.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use alloy_consensus::{Block, BlockBody, Header};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes, U256};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};
use warpline_engine::{Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy, TransactionTrace};
use warpline_primitives::{Account, CommitStep, MemoryState, StateDiff, StateSource, Transaction};
use warpline_replay::{BlockInput, Captured, CapturedState, Captures, Input, Inputs, ParentState};
use warpline_workloads::default_chain;

use crate::sample::Sample;

/// A result, or a code and a message; `None` where there is no such method.
pub(crate) type Answer = Option<Result<Value, (i64, String)>>;

/// The blocks of a node.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) chain_id: u64,
    /// Methods that it does not have.
    pub(crate) lacks: Vec<&'static str>,
    /// Whether it gives the block with the next number instead of the one it is asked for by number.
    pub(crate) gives_another: bool,
    /// Block 0, if it still has it.
    pub(crate) first: Option<Header>,
    blocks: BTreeMap<u64, ServedBlock>,
}

struct ServedBlock {
    block: Block<Transaction>,
    hash: B256,
    /// The headers before it that it has, the parent's first.
    ancestors: Vec<Header>,
    state: ParentState,
    witness: Option<Value>,
    traces: Value,
}

impl Served {
    /// The embedded chain, without witnesses.
    pub(crate) fn embedded() -> Self {
        let chain = default_chain();
        let engine = Engine::new(Ethereum::new(chain.chain.clone()), EngineConfig::with_threads(1));
        let engine = engine.unwrap();
        let mut trie = warpline_replay::CompleteState::new(chain.state.clone()).trie().clone();
        let cases = chain
            .seal_with(|block, state| {
                let output = engine.execute_reference(block, state).unwrap();
                trie.apply(&output.state).unwrap();
                Ok::<_, std::convert::Infallible>((output, trie.root()))
            })
            .unwrap();
        let mut served = Self { chain_id: chain.chain.chain_id(), ..Self::default() };
        for case in cases {
            let state = ParentState::Snapshot(case.state);
            let traces = traces(&engine, &case.block, &state);
            let block = plain(&case.block);
            served.add(ServedBlock {
                hash: case.block.hash,
                block,
                ancestors: vec![case.parent],
                state,
                witness: None,
                traces,
            });
        }
        served
    }

    /// The block of payments, as a block of mainnet.
    pub(crate) fn sample(sample: &Sample) -> Self {
        let folder = crate::inputs::folder(&[("sample.json", &sample.witness())]);
        Self::witnesses(folder.path())
    }

    /// What is in files of witnesses.
    pub(crate) fn witnesses(path: &Path) -> Self {
        let mut served = Self { chain_id: 1, ..Self::default() };
        let inputs = Inputs::open([path]).zip(Captures::open([path]));
        for (input, captured) in inputs {
            let (Ok(Input::Block(input)), Ok(Captured::Block(origin, capture))) = (input, captured)
            else {
                panic!("not a witness")
            };
            let CapturedState::Witness(nodes) = &capture.state else { panic!("not a witness") };
            let ancestors = headers(&origin.path);
            let headers: Vec<_> =
                ancestors.iter().map(alloy_rlp::encode).map(Bytes::from).collect();
            let witness =
                json!({"state": nodes, "codes": capture.codes, "keys": [], "headers": headers});
            let engine =
                Engine::new(Ethereum::new(input.chain.clone()), EngineConfig::with_threads(1));
            let BlockInput { block, parent: state, .. } = *input;
            let traces = traces(&engine.unwrap(), &block, &state);
            served.add(ServedBlock {
                hash: block.hash,
                block: plain(&block),
                ancestors,
                state,
                witness: Some(witness),
                traces,
            });
        }
        served
    }

    /// The same without these methods.
    pub(crate) fn without(mut self, methods: &[&'static str]) -> Self {
        self.lacks.extend(methods);
        self
    }

    /// The same with the headers of witnesses as objects.
    pub(crate) fn with_header_objects(mut self) -> Self {
        for served in self.blocks.values_mut() {
            let witness = served.witness.as_mut().unwrap();
            witness["headers"] = served.ancestors.iter().map(announced).collect();
        }
        self
    }

    /// The same with traces that show nobody's balance.
    pub(crate) fn without_balances(mut self) -> Self {
        for served in self.blocks.values_mut() {
            for trace in served.traces.as_array_mut().unwrap() {
                for account in trace["result"].as_object_mut().unwrap().values_mut() {
                    account.as_object_mut().unwrap().remove("balance");
                }
            }
        }
        self
    }

    fn add(&mut self, block: ServedBlock) {
        self.blocks.insert(block.block.header.number, block);
    }

    pub(crate) fn answer(&self, method: &str, params: &Value) -> Answer {
        let number = || number(&params[0]);
        let block = |number: u64| {
            let number = if self.gives_another { number + 1 } else { number };
            self.blocks.get(&number)
        };
        let header = |number: u64| {
            if number == 0 {
                return self.first.as_ref();
            }
            let own = self.blocks.get(&number).map(|served| &served.block.header);
            own.or_else(|| self.ancestors().find(|header| header.number == number))
        };
        Some(Ok(match method {
            "eth_chainId" => json!(format!("{:#x}", self.chain_id)),
            "eth_blockNumber" => json!(format!("{:#x}", self.blocks.keys().last().unwrap())),
            "eth_getBlockByNumber" => match (params[1] == true, block(number())) {
                (true, Some(served)) => served.full(),
                _ => header(number()).map_or(Value::Null, announced),
            },
            "eth_getBlockByHash" => {
                let hash: B256 = serde_json::from_value(params[0].clone()).unwrap();
                let found = self.ancestors().find(|header| header.hash_slow() == hash);
                found.map_or(Value::Null, announced)
            }
            "debug_getRawBlock" => {
                block(number()).map_or(Value::Null, |served| json!(served.rlp()))
            }
            "debug_getRawHeader" => header(number())
                .map_or(Value::Null, |header| json!(Bytes::from(alloy_rlp::encode(header)))),
            "debug_executionWitness" => self.blocks[&number()].witness.clone()?,
            "debug_traceBlockByHash" | "debug_traceBlockByNumber" => {
                assert_eq!(params[1]["tracer"], "prestateTracer");
                let by_hash = |served: &&ServedBlock| json!(served.hash) == params[0];
                let served = self.blocks.values().find(by_hash);
                served.unwrap_or_else(|| &self.blocks[&self::number(&params[0])]).traces.clone()
            }
            "eth_getUncleByBlockHashAndIndex" => {
                let served = self.blocks.values().find(|served| json!(served.hash) == params[0])?;
                let index = usize::try_from(self::number(&params[1])).unwrap();
                announced(served.block.body.ommers.get(index)?)
            }
            _ => return self.parent_state(method, params),
        }))
    }

    fn ancestors(&self) -> impl Iterator<Item = &Header> {
        self.blocks.values().flat_map(|served| &served.ancestors)
    }

    /// The state after a block, which is the state before the next.
    fn parent_state(&self, method: &str, params: &Value) -> Answer {
        let address: Address = serde_json::from_value(params[0].clone()).ok()?;
        let of = |tag: &Value| self.blocks.get(&(number(tag) + 1)).map(|served| &served.state);
        let gone = || Some(Err((-32000, "missing trie node".to_owned())));
        let Some(state) = of(params.as_array()?.last()?) else { return gone() };
        // A witness does not know who is named by a delegation that nobody follows.
        let account = state.account(address).unwrap_or_default().unwrap_or_default();
        Some(Ok(match method {
            "eth_getBalance" => json!(account.balance),
            "eth_getTransactionCount" => json!(format!("{:#x}", account.nonce)),
            "eth_getCode" => {
                // A witness lacks the codes that nobody runs, as those of who is only paid.
                json!(state.code(account.code_hash).unwrap_or_default())
            }
            "eth_getStorageAt" => {
                let slot: U256 = serde_json::from_value(params[1].clone()).unwrap();
                let Ok(value) = state.storage(address, slot) else { return gone() };
                json!(B256::from(value))
            }
            _ => return None,
        }))
    }
}

/// The headers in a file of a witness.
fn headers(path: &Path) -> Vec<Header> {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let headers = document["witness"]["headers"].take();
    let header = |header: &Value| match serde_json::from_value::<Bytes>(header.clone()) {
        Ok(rlp) => alloy_rlp::decode_exact(&rlp).unwrap(),
        Err(_) => serde_json::from_value(header.clone()).unwrap(),
    };
    headers.as_array().unwrap().iter().map(header).collect()
}

impl ServedBlock {
    fn rlp(&self) -> Bytes {
        alloy_rlp::encode(&self.block).into()
    }

    fn full(&self) -> Value {
        let mut json = announced(&self.block.header);
        json["transactions"] = json!(self.block.body.transactions);
        let ommers = self.block.body.ommers.iter();
        json["uncles"] = json!(ommers.map(Header::hash_slow).collect::<Vec<_>>());
        if let Some(withdrawals) = &self.block.body.withdrawals {
            json["withdrawals"] = json!(withdrawals);
        }
        json
    }
}

fn announced(header: &Header) -> Value {
    let mut json = serde_json::to_value(header).unwrap();
    json["hash"] = json!(header.hash_slow());
    json["transactions"] = json!([]);
    json
}

fn number(json: &Value) -> u64 {
    let digits = json.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}

fn plain(block: &warpline_primitives::RecoveredBlock) -> Block<Transaction> {
    let transactions = block.transactions.iter().map(|tx| tx.inner().clone()).collect();
    let withdrawals: Option<Withdrawals> = block.withdrawals.clone();
    Block::new(
        block.header.clone(),
        BlockBody { transactions, ommers: block.ommers.clone(), withdrawals },
    )
}

/// What geth's `prestateTracer` says of a block: of each transaction the accounts and slots that it met, as it
/// found them, without accounts that were empty.
fn traces(
    engine: &Engine<Ethereum>,
    block: &warpline_primitives::RecoveredBlock,
    parent: &ParentState,
) -> Value {
    let (_, traces) = engine.trace(block, parent).unwrap();
    let mut state = met(&traces, parent);
    let mut shown: Vec<Value> = Vec::new();
    // What was committed before a transaction is what it finds.
    let mut observe = |step: CommitStep, changes: &StateDiff| {
        if let CommitStep::Transaction(index) = step {
            let hash = block.transactions[index].tx_hash();
            shown.push(json!({"txHash": hash, "result": found(&traces[index], &state, parent)}));
        }
        state.apply(changes);
    };
    let options = ExecuteOptions::from(Strategy::Sequential);
    let options = options.observed_by(&mut observe);
    engine.execute_with(block, parent, options).unwrap();
    assert_eq!(shown.len(), block.transactions.len());
    json!(shown)
}

/// The part of the parent state that the transactions meet.
fn met(traces: &[TransactionTrace], parent: &ParentState) -> MemoryState {
    let mut state = MemoryState::default();
    for trace in traces {
        for account in &trace.accounts {
            if let Some(found) = parent.account(account.address).unwrap() {
                state.insert_account(account.address, found);
            }
        }
        for slot in &trace.slots {
            let value = parent.storage(slot.address, slot.slot).unwrap();
            state.insert_storage(slot.address, slot.slot, value);
        }
    }
    state
}

fn found(trace: &TransactionTrace, state: &MemoryState, parent: &ParentState) -> Value {
    let mut accounts = Map::new();
    for met in &trace.accounts {
        let account = state.account(met.address).unwrap().unwrap_or_default();
        if account.is_empty() {
            continue;
        }
        let mut json = json!({"balance": account.balance});
        if account.nonce > 0 {
            json["nonce"] = json!(account.nonce);
        }
        if account.has_code() {
            json["code"] = json!(code(&account, state, parent));
        }
        let slots = trace.slots.iter().filter(|slot| slot.address == met.address);
        let slots: Map<_, _> = slots
            .map(|slot| {
                let value = state.storage(slot.address, slot.slot).unwrap();
                (B256::from(slot.slot).to_string(), json!(B256::from(value)))
            })
            .collect();
        if !slots.is_empty() {
            json["storage"] = Value::Object(slots);
        }
        accounts.insert(format!("{:#x}", met.address), json);
    }
    Value::Object(accounts)
}

fn code(account: &Account, state: &MemoryState, parent: &ParentState) -> Bytes {
    state.code(account.code_hash).or_else(|_| parent.code(account.code_hash)).unwrap()
}

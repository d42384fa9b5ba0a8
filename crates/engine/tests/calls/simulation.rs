//! Simulated blocks, against what Geth answers.

use alloy_consensus::{Block, BlockBody, Transaction as _, transaction::Recovered};
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::simulate::SimulatePayload;
use serde_json::{Value, json};
use warpline_engine::{
    CallEnd, CallRefusal, SimulateOptions, SimulatedBlock, SimulatedCall, halt_message,
    revert_message,
};
use warpline_primitives::Transaction;
use warpline_trie::StateTrie;

use crate::{
    chain::{Chain, chain},
    differences,
};

fn hex(number: impl Into<u128>) -> Value {
    json!(format!("{:#x}", number.into()))
}

fn simulate(chain: &Chain, params: &Value) -> Value {
    let payload: SimulatePayload = serde_json::from_value(params[0].clone()).unwrap();
    let at = chain.number(&params[1]);
    let Some(state) = chain.states.get(at) else {
        return json!({ "error": { "code": -32000 } });
    };
    let accounts = state.accounts().map(|(address, account, slots)| {
        let slots: Vec<_> =
            slots.into_iter().flatten().map(|(slot, value)| (*slot, *value)).collect();
        (*address, *account, slots)
    });
    let before = StateTrie::from_accounts(accounts);
    let root = |diff: &_| {
        let mut trie = before.clone();
        trie.apply(diff)?;
        Ok(trie.root())
    };
    let options = SimulateOptions::default();
    let simulated = chain.engine.simulate(&chain.headers[at], state, &payload, options, root);
    match simulated {
        Ok(blocks) => {
            let full = payload.return_full_transactions;
            json!({ "result": blocks.iter().map(|it| block(it, full)).collect::<Vec<_>>() })
        }
        Err(error) => json!({ "error": { "code": error.code(), "message": error.to_string() } }),
    }
}

/// A block as a node answers with it.
fn block(simulated: &SimulatedBlock, full: bool) -> Value {
    let block = &simulated.block;
    let header = &block.header;
    let transactions = block.transactions.iter().map(|tx| tx.inner().clone()).collect();
    let body =
        BlockBody { transactions, ommers: Vec::new(), withdrawals: block.withdrawals.clone() };
    let size = Block { header: header.clone(), body }.length();
    let mut fields = serde_json::to_value(header).unwrap();
    let object = fields.as_object_mut().unwrap();
    object.insert("hash".into(), json!(block.hash));
    object.insert("size".into(), hex(size as u64));
    object.insert("uncles".into(), json!([]));
    if block.withdrawals.is_some() {
        object.insert("withdrawals".into(), json!([]));
    }
    let calls = simulated.calls.iter().enumerate();
    let calls: Vec<_> = calls.map(|(index, it)| call(simulated, index, it)).collect();
    object.insert("calls".into(), json!(calls));
    let transactions = block.transactions.iter().enumerate().map(|(index, tx)| {
        if full { transaction(simulated, index, tx) } else { json!(tx.inner().tx_hash()) }
    });
    object.insert("transactions".into(), json!(transactions.collect::<Vec<_>>()));
    fields
}

fn call(block: &SimulatedBlock, index: usize, call: &SimulatedCall) -> Value {
    let header = &block.block.header;
    let hash = block.block.transactions[index].inner().tx_hash();
    let log = |(at, log): &(u64, alloy_primitives::Log)| {
        json!({
            "address": log.address, "topics": log.data.topics(), "data": log.data.data,
            "blockNumber": hex(header.number), "blockHash": block.block.hash,
            "blockTimestamp": hex(header.timestamp), "transactionHash": hash,
            "transactionIndex": hex(index as u64), "logIndex": hex(*at), "removed": false,
        })
    };
    let called = &call.called;
    let mut fields = json!({
        "returnData": alloy_primitives::Bytes::copy_from_slice(called.output()),
        "logs": call.logs.iter().map(log).collect::<Vec<_>>(),
        "gasUsed": hex(called.gas_used), "maxUsedGas": hex(called.max_gas_used),
        "status": hex(u64::from(called.is_success())),
    });
    fields["error"] = match &called.end {
        CallEnd::Success { .. } => {
            fields.as_object_mut().unwrap().remove("error");
            return fields;
        }
        CallEnd::Revert { output } => json!({
            "code": CallRefusal::REVERTED, "message": revert_message(output), "data": output,
        }),
        CallEnd::Halt { reason } => json!({ "code": -32015, "message": halt_message(reason) }),
    };
    fields
}

fn transaction(block: &SimulatedBlock, index: usize, tx: &Recovered<Transaction>) -> Value {
    let header = &block.block.header;
    let mut fields = serde_json::to_value(tx.inner()).unwrap();
    let price = tx.effective_gas_price(header.base_fee_per_gas);
    for (name, value) in [
        ("blockHash", json!(block.block.hash)),
        ("blockNumber", hex(header.number)),
        ("blockTimestamp", hex(header.timestamp)),
        ("from", json!(tx.signer())),
        ("gasPrice", hex(price)),
        ("transactionIndex", hex(index as u64)),
    ] {
        fields[name] = value;
    }
    fields
}

/// The messages are one's own; what counts is the code.
fn without_message(mut answer: Value) -> Value {
    let object = answer.as_object_mut().unwrap();
    object.remove("jsonrpc");
    object.remove("id");
    if let Some(error) = object.get_mut("error") {
        error.as_object_mut().unwrap().remove("message");
    }
    answer
}

#[test]
fn simulations() {
    let Some(chain) = chain() else { return };
    let mut different = Vec::new();
    for exchange in chain.exchanges("eth_simulateV1") {
        let found = without_message(simulate(chain, &exchange.params));
        differences(&exchange.name, &found, &without_message(exchange.response), &mut different);
    }
    assert!(different.is_empty(), "{different:#?}");
}

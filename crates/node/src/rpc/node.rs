//! What the node says of itself and of its network.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U64, keccak256};
use serde::Serialize;
use warpline_chain::ForkConfigs;

use super::{RpcError, blocks, context::Call, methods::Registry};

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_chainId", chain_id)
        .light("eth_syncing", syncing)
        .light("eth_accounts", accounts)
        .light("eth_capabilities", capabilities)
        .light("eth_config", config)
        .light("net_version", network)
        .light("net_listening", listening)
        .light("net_peerCount", peers)
        .light("web3_clientVersion", client_version)
        .light("web3_sha3", sha3)
        .light("txpool_status", pool_status)
        .light("txpool_content", pool_content)
        .light("txpool_contentFrom", pool_content_from)
        .light("txpool_inspect", pool_content);
}

fn chain_id(call: &Call, (): ()) -> Result<U64, RpcError> {
    Ok(U64::from(call.context().chain.chain_id()))
}

/// Nothing is fetched from anybody, so there is nothing to catch up with.
fn syncing(_: &Call, (): ()) -> Result<bool, RpcError> {
    Ok(false)
}

/// The node keeps no keys.
fn accounts(_: &Call, (): ()) -> Result<[Address; 0], RpcError> {
    Ok([])
}

fn network(call: &Call, (): ()) -> Result<String, RpcError> {
    Ok(call.context().chain.chain_id().to_string())
}

fn listening(_: &Call, (): ()) -> Result<bool, RpcError> {
    Ok(false)
}

fn peers(_: &Call, (): ()) -> Result<U64, RpcError> {
    Ok(U64::ZERO)
}

fn client_version(call: &Call, (): ()) -> Result<String, RpcError> {
    Ok(call.context().client_version.clone())
}

fn sha3(_: &Call, (bytes,): (Bytes,)) -> Result<B256, RpcError> {
    Ok(keccak256(bytes))
}

/// The forks as of the head (EIP-7910).
fn config(call: &Call, (): ()) -> Result<ForkConfigs, RpcError> {
    let view = call.view()?;
    let genesis = blocks::header(&view, 0)?.header;
    Ok(call.context().chain.fork_configs(&genesis, view.head().header.timestamp))
}

/// Up to which block the node can answer, and from which on.
#[derive(Debug, Serialize)]
struct Capabilities {
    head: Head,
    state: Since,
    tx: Since,
    logs: Since,
    receipts: Since,
    blocks: Since,
    stateproofs: Since,
}

#[derive(Debug, Serialize)]
struct Head {
    number: U64,
    hash: B256,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Since {
    disabled: bool,
    oldest_block: U64,
}

impl Since {
    fn block(number: u64) -> Self {
        Self { disabled: false, oldest_block: U64::from(number) }
    }
}

fn capabilities(call: &Call, (): ()) -> Result<Capabilities, RpcError> {
    let view = call.view()?;
    let (all, state) = (Since::block(0), Since::block(view.earliest_state()));
    Ok(Capabilities {
        head: Head { number: U64::from(view.head().header.number), hash: view.head().hash },
        state,
        tx: all,
        logs: all,
        receipts: all,
        blocks: all,
        stateproofs: state,
    })
}

/// Transactions that wait. There are none: the node takes none.
#[derive(Debug, Default, Serialize)]
struct Waiting<T> {
    pending: T,
    queued: T,
}

fn pool_status(_: &Call, (): ()) -> Result<Waiting<U64>, RpcError> {
    Ok(Waiting::default())
}

type NoTransactions = BTreeMap<String, ()>;

fn pool_content(_: &Call, (): ()) -> Result<Waiting<NoTransactions>, RpcError> {
    Ok(Waiting::default())
}

fn pool_content_from(
    _: &Call,
    (_sender,): (Address,),
) -> Result<Waiting<NoTransactions>, RpcError> {
    Ok(Waiting::default())
}

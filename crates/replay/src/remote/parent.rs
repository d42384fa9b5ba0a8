//! The state before a block, asked for piece by piece.

use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::json;

use super::{FetchError, JsonRpc, RemoteNode, RpcRequest, hex};

/// A node's answers about the state after block `number`.
pub(super) struct ParentReader<'a, R> {
    pub(super) node: &'a RemoteNode<R>,
    pub(super) number: u64,
}

impl<R: JsonRpc> ParentReader<'_, R> {
    /// Balances and nonces, in the order of `addresses`.
    pub(super) fn accounts(&self, addresses: &[Address]) -> Result<Vec<(U256, u64)>, FetchError> {
        let requests: Vec<_> = ["eth_getBalance", "eth_getTransactionCount"]
            .into_iter()
            .flat_map(|method| addresses.iter().map(move |address| (method, *address)))
            .map(|(method, address)| self.request(method, json!([address, hex(self.number)])))
            .collect();
        let mut balances = self.node.ask_all::<U256>(&requests)?;
        let nonces = balances.split_off(addresses.len());
        Ok(balances.into_iter().zip(nonces.iter().map(|nonce| nonce.saturating_to())).collect())
    }

    /// Codes, in the order of `addresses`.
    pub(super) fn codes(&self, addresses: &[Address]) -> Result<Vec<Bytes>, FetchError> {
        let request = |address| self.request("eth_getCode", json!([address, hex(self.number)]));
        let requests: Vec<_> = addresses.iter().map(request).collect();
        self.node.ask_all(&requests)
    }

    /// The values of slots of `address`, in their order.
    pub(super) fn slots(&self, address: Address, slots: &[U256]) -> Result<Vec<U256>, FetchError> {
        let request = |slot: &U256| {
            let params = json!([address, B256::from(*slot), hex(self.number)]);
            self.request("eth_getStorageAt", params)
        };
        let requests: Vec<_> = slots.iter().map(request).collect();
        let values = self.node.ask_all::<B256>(&requests)?;
        Ok(values.into_iter().map(Into::into).collect())
    }

    const fn request(&self, method: &'static str, params: serde_json::Value) -> RpcRequest {
        RpcRequest { method, params }
    }
}

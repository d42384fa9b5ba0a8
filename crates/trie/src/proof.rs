//! Proofs of accounts and slots, as `eth_getProof` gives them (EIP-1186).

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::{Nibbles, TrieAccount};
use warpline_primitives::Account;

use crate::{
    TrieError,
    leaf::decode_leaf,
    node::{Link, Node},
    walk::Walk,
};

/// What the state says of an account, and the nodes that prove it against the state root.
///
/// A proof lists the RLP of the nodes on the way to a key, from the root on. A node of less than
/// 32 bytes is inside its parent and not listed again. That a key is absent is proven by where its
/// way ends: at a branch without a child there, or at a leaf or extension of other keys. The proof
/// that an empty trie lacks a key has no nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Whose.
    pub address: Address,
    /// The account, `None` where the nodes prove that there is none.
    pub account: Option<Account>,
    /// The root of its storage; that of an empty trie where there is no account.
    pub storage_root: B256,
    /// The nodes of the account trie.
    pub nodes: Vec<Bytes>,
    /// The slots asked for, in that order.
    pub slots: Vec<SlotProof>,
}

/// What the state says of a storage slot, and the nodes that prove it against
/// [`storage_root`](AccountProof::storage_root).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// Which slot.
    pub slot: U256,
    /// Its value, zero where the nodes prove that there is none.
    pub value: U256,
    /// The nodes of the storage trie.
    pub nodes: Vec<Bytes>,
}

/// The value of a key, if it has one, and the nodes on the way to it.
type Proven = (Option<Box<[u8]>>, Vec<Bytes>);

impl Walk<'_> {
    /// What the account trie below `root` says of the hashed address `key`, with the nodes.
    pub(crate) fn prove_account(
        &self,
        root: &Link,
        key: B256,
    ) -> Result<(Option<TrieAccount>, Vec<Bytes>), TrieError> {
        let (value, nodes) = self.prove(root, key)?;
        let leaf = value.map(|value| decode_leaf(&value, self.trie, key)).transpose()?;
        Ok((leaf, nodes))
    }

    /// What the storage trie below `root` says of the hashed slot `key`, with the nodes.
    pub(crate) fn prove_slot(
        &self,
        root: &Link,
        key: B256,
    ) -> Result<(U256, Vec<Bytes>), TrieError> {
        let (value, nodes) = self.prove(root, key)?;
        let value = value.map(|value| decode_leaf(&value, self.trie, key)).transpose()?;
        Ok((value.unwrap_or_default(), nodes))
    }

    /// The value of `key` below `root`, which must be settled, with the nodes on the way.
    fn prove(&self, root: &Link, key: B256) -> Result<Proven, TrieError> {
        let mut nodes = Vec::new();
        let mut list = |link: &Link, node: &Node| {
            let inside = matches!(link, Link::Node(known) if !known.has_hash());
            if nodes.is_empty() || !inside {
                let mut rlp = Vec::new();
                node.encode(&mut rlp);
                nodes.push(Bytes::from(rlp));
            }
        };
        let value = self.get(root, &Nibbles::unpack(key), &mut list, |value| Box::from(value))?;
        Ok((value, nodes))
    }
}

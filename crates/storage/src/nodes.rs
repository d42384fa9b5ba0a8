//! Nodes of tries: as they are, as they were, and leaves, which are not stored.
//!
//! Branches and extensions are kept by their place. A leaf is made from the account or slot whose
//! key begins with its place. The history of a node says what it was before a block:
//!
//! ```text
//! (nothing)             there was no branch or extension in this place
//! 0 ++ RLP              the node as it was
//! 1 ++ mask ++ items    a branch then and since: the children that were others, in order
//! ```
//!
//! Near the root every block changes every node, but few of the children of each. Writing down what
//! a child was before takes 32 bytes where the whole branch takes 532, and a branch is put together
//! from the versions that follow, each child from the first that names it.

use alloy_primitives::{B256, Bytes, bytes::BufMut};
use alloy_rlp::{EMPTY_STRING_CODE, Header};
use alloy_trie::Nibbles;
use warpline_trie::{NodeSource, NodeSourceError, TrieKey, account_leaf_node, storage_leaf_node};

use crate::{
    StateView, StorageError,
    codec::Malformed,
    tables::{node_key, versioned_node},
};

const FULL: u8 = 0;
const DELTA: u8 = 1;

/// The raw items of a branch's children.
type Children<'a> = [&'a [u8]; 16];

/// The children of the branch `rlp`; `None` where it is an extension.
fn children(rlp: &[u8]) -> Result<Option<Children<'_>>, Malformed> {
    let mut rest = Header::decode_bytes(&mut &*rlp, true)?;
    let mut children = Children::default();
    let mut count = 0;
    while !rest.is_empty() {
        let item = raw_item(&mut rest)?;
        if let Some(child) = children.get_mut(count) {
            *child = item;
        }
        count += 1;
    }
    match count {
        17 => Ok(Some(children)),
        2 => Ok(None),
        _ => Err(Malformed::Custom("neither a branch nor an extension")),
    }
}

/// Takes the next item off `rest`, its header included.
fn raw_item<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let mut after = *rest;
    let header = Header::decode(&mut after)?;
    let length = rest.len() - after.len() + header.payload_length;
    let (item, next) = rest.split_at_checked(length).ok_or(Malformed::InputTooShort)?;
    *rest = next;
    Ok(item)
}

/// The branch with these children.
fn branch(children: &Children<'_>) -> Vec<u8> {
    let payload_length = children.iter().map(|child| child.len()).sum::<usize>() + 1;
    let mut rlp = Vec::with_capacity(payload_length + 3);
    Header { list: true, payload_length }.encode(&mut rlp);
    for child in children {
        rlp.extend_from_slice(child);
    }
    rlp.push(EMPTY_STRING_CODE);
    rlp
}

/// What the history says of a node that was `old` and is `new`; `None` means not there.
pub(crate) fn version(old: Option<&[u8]>, new: Option<&[u8]>) -> Result<Vec<u8>, Malformed> {
    let Some(old) = old else { return Ok(Vec::new()) };
    let new = new.map(children).transpose()?.flatten();
    let (Some(before), Some(after)) = (children(old)?, new) else {
        return Ok([&[FULL], old].concat());
    };
    let differ = |(at, child): (usize, &&[u8])| (*child != after[at]).then_some(at);
    let differing: Vec<usize> = before.iter().enumerate().filter_map(differ).collect();
    let mask = differing.iter().fold(0_u16, |mask, at| mask | 1 << at);
    let mut version = vec![DELTA];
    version.put_u16(mask);
    for at in differing {
        version.extend_from_slice(before[at]);
    }
    Ok(version)
}

/// A node put together from the versions after a block, oldest first.
#[derive(Default)]
struct Rebuilt {
    children: [Option<Vec<u8>>; 16],
    has_delta: bool,
}

/// What a version, or what is present, says of a node.
enum Said {
    /// It must be looked for in the next version.
    Partly,
    /// This is all there is to know.
    All(Option<Vec<u8>>),
}

impl Rebuilt {
    fn add(&mut self, version: &[u8]) -> Result<Said, Malformed> {
        match version.split_first() {
            None => Ok(Said::All(None)),
            Some((&FULL, rlp)) => self.on_top_of(Some(rlp)).map(Said::All),
            Some((&DELTA, delta)) => self.add_delta(delta),
            Some(_) => Err(Malformed::Custom("unknown kind of version")),
        }
    }

    fn add_delta(&mut self, delta: &[u8]) -> Result<Said, Malformed> {
        let (mask, mut items) = delta.split_first_chunk().ok_or(Malformed::InputTooShort)?;
        let mask = u16::from_be_bytes(*mask);
        self.has_delta = true;
        for (at, child) in self.children.iter_mut().enumerate() {
            if mask & 1 << at != 0 {
                let item = raw_item(&mut items)?;
                child.get_or_insert_with(|| item.to_vec());
            }
        }
        if !self.children.iter().all(Option::is_some) {
            return Ok(Said::Partly);
        }
        let all = self.children.each_ref().map(|child| child.as_deref().unwrap_or_default());
        Ok(Said::All(Some(branch(&all))))
    }

    /// The node where `base` is what the first version not looked at says.
    fn on_top_of(&self, base: Option<&[u8]>) -> Result<Option<Vec<u8>>, Malformed> {
        if !self.has_delta {
            return Ok(base.map(<[u8]>::to_vec));
        }
        let base = base.map(children).transpose()?.flatten();
        let mut all = base.ok_or(Malformed::Custom("a change of a branch that is none"))?;
        for (child, known) in all.iter_mut().zip(&self.children) {
            *child = known.as_deref().unwrap_or(child);
        }
        Ok(Some(branch(&all)))
    }
}

/// What a node was, from what it is and the one version before.
pub(crate) fn revert(version: &[u8], present: Option<&[u8]>) -> Result<Option<Vec<u8>>, Malformed> {
    let mut node = Rebuilt::default();
    match node.add(version)? {
        Said::All(node) => Ok(node),
        Said::Partly => node.on_top_of(present),
    }
}

impl StateView {
    /// The branch or extension in this place.
    pub(crate) fn stored_node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let key = node_key(trie, path);
        let present = self.view().nodes.get(&*key)?;
        let present = present.as_ref().map(|node| node.value());
        if self.is_head() {
            return Ok(present.map(<[u8]>::to_vec));
        }
        let damaged = |error| StorageError::damaged("node_history", &key, error);
        let first = versioned_node(&key, self.number() + 1);
        let last = versioned_node(&key, u64::MAX);
        let history = &self.view().node_history;
        let mut node = Rebuilt::default();
        for entry in history.range::<&[u8]>(&*first..=&*last)? {
            if let Said::All(node) = node.add(entry?.1.value()).map_err(damaged)? {
                return Ok(node);
            }
        }
        node.on_top_of(present).map_err(damaged)
    }

    /// The leaf in this place, made from the account or slot that it stands for.
    pub(crate) fn leaf(
        &self,
        trie: TrieKey,
        path: &Nibbles,
    ) -> Result<Option<Bytes>, StorageError> {
        let depth = path.len();
        Ok(match trie {
            TrieKey::Accounts => self.account_below(path)?.map(|(key, stored)| {
                account_leaf_node(key, depth, &stored.account, stored.storage_root)
            }),
            TrieKey::Storage(account) => self
                .slot_below(account, path)?
                .map(|(key, value)| storage_leaf_node(key, depth, value)),
        })
    }
}

impl NodeSource for StateView {
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        _hash: B256,
    ) -> Result<Option<Bytes>, NodeSourceError> {
        let node = self.stored_node(trie, path).and_then(|node| match node {
            None => self.leaf(trie, path),
            Some(node) => Ok(Some(node.into())),
        });
        node.map_err(NodeSourceError::new)
    }
}

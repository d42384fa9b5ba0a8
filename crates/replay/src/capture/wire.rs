//! What a capture file holds, as RLP in exactly one form.
//!
//! Accounts, slots, codes and nodes are sorted and there once. So equal captures are equal bytes, and whatever is
//! in another order was not written by this program.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use warpline_chain::ChainSpec;
use warpline_primitives::Account;

use super::{
    Capture, CapturedAccount, CapturedState, MAINNET,
    chain::{ChainProblem, Rules},
    file::{CaptureError, CapturePart},
};

const SNAPSHOT: u8 = 0;
const WITNESS: u8 = 1;

/// The members in the order of the file. What may be absent is empty bytes.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(super) struct Payload {
    block: Bytes,
    ommer_hashes: Vec<B256>,
    parent_header: Bytes,
    state_kind: u8,
    accounts: Vec<AccountEntry>,
    nodes: Vec<Bytes>,
    codes: Vec<Bytes>,
    block_hashes: Vec<HashEntry>,
    access_list: Bytes,
    rules: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct AccountEntry {
    address: Address,
    balance: U256,
    nonce: u64,
    code_hash: B256,
    storage: Vec<SlotEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct SlotEntry {
    slot: U256,
    value: U256,
}

#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct HashEntry {
    number: u64,
    hash: B256,
}

impl Payload {
    /// The one form of `capture`.
    pub(super) fn of(capture: &Capture) -> Self {
        let (state_kind, accounts, nodes) = match &capture.state {
            CapturedState::Snapshot(accounts) => {
                (SNAPSHOT, accounts.iter().map(AccountEntry::of).collect(), Vec::new())
            }
            CapturedState::Witness(nodes) => (WITNESS, Vec::new(), sorted(nodes)),
        };
        let rules = Rules::of(&capture.chain);
        let is_mainnet = rules == Rules::of(&MAINNET);
        let hash = |(number, hash): (&u64, &B256)| HashEntry { number: *number, hash: *hash };
        Self {
            block: capture.block.clone(),
            ommer_hashes: capture.ommer_hashes.clone(),
            parent_header: capture.parent_header.as_ref().map(encoded).unwrap_or_default(),
            state_kind,
            accounts,
            nodes,
            codes: sorted(&capture.codes),
            block_hashes: capture.block_hashes.iter().map(hash).collect(),
            access_list: capture.access_list.as_ref().map(encoded).unwrap_or_default(),
            rules: if is_mainnet { Bytes::new() } else { encoded(&rules) },
        }
    }

    /// What is in it, of chain `chain_id`.
    pub(super) fn into_capture(self, chain_id: u64) -> Result<Capture, CaptureError> {
        use CapturePart as Part;
        let state = match self.state_kind {
            SNAPSHOT if self.nodes.is_empty() => {
                ascending(&self.accounts, Part::Accounts, |account| &account.address)?;
                let accounts = self.accounts.into_iter().map(AccountEntry::into_account);
                CapturedState::Snapshot(accounts.collect::<Result<_, _>>()?)
            }
            WITNESS if self.accounts.is_empty() => {
                ascending(&self.nodes, Part::Nodes, |node| node)?;
                CapturedState::Witness(self.nodes)
            }
            kind => return Err(CaptureError::State { kind }),
        };
        ascending(&self.codes, Part::Codes, |code| code)?;
        ascending(&self.block_hashes, Part::BlockHashes, |entry| &entry.number)?;
        let hashes = self.block_hashes.into_iter().map(|entry| (entry.number, entry.hash));
        Ok(Capture {
            chain: chain(&self.rules, chain_id)?,
            block: self.block,
            ommer_hashes: self.ommer_hashes,
            parent_header: optional::<Header>(&self.parent_header, Part::ParentHeader)?,
            state,
            codes: self.codes,
            block_hashes: hashes.collect(),
            access_list: optional::<BlockAccessList>(&self.access_list, Part::AccessList)?,
        })
    }
}

impl AccountEntry {
    fn of((address, CapturedAccount { account, storage }): (&Address, &CapturedAccount)) -> Self {
        let slots = storage.iter().filter(|(_, value)| !value.is_zero());
        Self {
            address: *address,
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            storage: slots.map(|(slot, value)| SlotEntry { slot: *slot, value: *value }).collect(),
        }
    }

    fn into_account(self) -> Result<(Address, CapturedAccount), CaptureError> {
        ascending(&self.storage, CapturePart::Slots, |entry| &entry.slot)?;
        if self.storage.iter().any(|entry| entry.value.is_zero()) {
            return Err(CaptureError::NotCanonical { part: CapturePart::Slots });
        }
        let Self { address, balance, nonce, code_hash, storage } = self;
        let storage = storage.into_iter().map(|entry| (entry.slot, entry.value)).collect();
        let account = Account { balance, nonce, code_hash };
        Ok((address, CapturedAccount { account, storage }))
    }
}

fn chain(rules: &Bytes, chain_id: u64) -> Result<Arc<ChainSpec>, CaptureError> {
    match optional::<Rules>(rules, CapturePart::Rules)? {
        Some(rules) => Ok(Arc::new(rules.chain(chain_id)?)),
        None if chain_id == MAINNET.chain_id() => Ok(MAINNET.clone()),
        None => Err(ChainProblem::NoRules(chain_id).into()),
    }
}

fn encoded<T: alloy_rlp::Encodable>(value: &T) -> Bytes {
    alloy_rlp::encode(value).into()
}

fn optional<T: Decodable>(rlp: &Bytes, part: CapturePart) -> Result<Option<T>, CaptureError> {
    let value = (!rlp.is_empty()).then(|| alloy_rlp::decode_exact(rlp)).transpose();
    value.map_err(|source| CaptureError::Malformed { part, source })
}

fn sorted(list: &[Bytes]) -> Vec<Bytes> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

/// Checks that the keys of `list` are strictly ascending.
fn ascending<T, K: Ord + ?Sized>(
    list: &[T],
    part: CapturePart,
    key: impl Fn(&T) -> &K,
) -> Result<(), CaptureError> {
    if list.is_sorted_by(|a, b| key(a) < key(b)) {
        return Ok(());
    }
    Err(CaptureError::NotCanonical { part })
}

//! A block with all that it takes to execute it, as it was given: nothing is recovered or built yet.
//!
//! This is what snapshots and witnesses come down to before a [`BlockInput`] is made of them, what is fetched from
//! a node, and what the files of our own hold ([`Capture::encode`]). Nothing in it is trusted:
//! [`Capture::into_input`] links what is said to belong together and recovers the senders.

mod chain;
mod file;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use alloy_consensus::{Block, Header};
use alloy_eip7928::BlockAccessList;
use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_chain::ChainSpec;
use warpline_primitives::{Account, MemoryState, Transaction};

pub use chain::ChainProblem;
pub use file::{CAPTURE_VERSION, CaptureError, CapturePart};

use crate::{
    BlockInput, InputError, InputProblem, Origin, ParentState, WitnessState,
    block::{BlockDecodeError, decode_block, decode_exact},
    error::Problem,
    input::Ommers,
};

/// Ethereum mainnet, of which most blocks are.
pub(crate) static MAINNET: LazyLock<Arc<ChainSpec>> =
    LazyLock::new(|| Arc::new(ChainSpec::mainnet()));

/// A block and what came with it.
///
/// ```
/// use warpline_replay::{Capture, Captured, Captures, Origin};
///
/// # let file = std::env::temp_dir().join(format!("warpline-doc-capture-{}.json", std::process::id()));
/// # std::fs::write(&file, r#"{"block": "0xc0", "witness": {"state": [], "codes": []}}"#)?;
/// for captured in Captures::open([&file]) {
///     if let Ok(Captured::Block(origin, capture)) = captured {
///         let bytes = capture.encode()?;
///         let (again, length) = Capture::decode(&bytes)?;
///         assert_eq!((&again, length), (&*capture, bytes.len()));
///         println!("{origin}: {} bytes", bytes.len());
///     }
/// }
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Capture {
    /// The rules it is executed under.
    pub chain: Arc<ChainSpec>,
    /// The RLP of the block.
    pub block: Bytes,
    /// The hashes of its ommers where nothing else is known of them; the block then lists none.
    pub ommer_hashes: Vec<B256>,
    /// The header of its parent, where it is known. A witness cannot do without.
    pub parent_header: Option<Header>,
    /// The state before the block.
    pub state: CapturedState,
    /// Codes that the state names.
    pub codes: Vec<Bytes>,
    /// Hashes of ancestors, by number.
    pub block_hashes: BTreeMap<u64, B256>,
    /// The access list that came with it (EIP-7928).
    pub access_list: Option<BlockAccessList>,
}

/// The state before a block, in the form in which it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CapturedState {
    /// What the block touches and nothing else.
    Snapshot(BTreeMap<Address, CapturedAccount>),
    /// RLP-encoded trie nodes, in any order.
    Witness(Vec<Bytes>),
}

/// An account of a snapshot with those of its slots that are known and not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedAccount {
    /// The account.
    pub account: Account,
    /// Its slots. Zero is the same as absent.
    pub storage: BTreeMap<U256, U256>,
}

impl Capture {
    /// The header of the block.
    ///
    /// # Errors
    /// When the bytes of the block are none.
    pub fn header(&self) -> Result<Header, BlockDecodeError> {
        Ok(decode_exact(&self.block)?.0.header)
    }

    /// The number and the hash of the block.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn id(&self) -> Result<(u64, B256), BlockDecodeError> {
        let (block, hash) = decode_exact(&self.block)?;
        Ok((block.header.number, hash))
    }

    /// Whether it is executed under the rules of `chain`, whatever that is called.
    pub fn is_under(&self, chain: &ChainSpec) -> bool {
        chain::Rules::of(&self.chain).are(&chain::Rules::of(chain))
    }

    /// Recovers the senders, links block, parent and state, and makes ready to execute.
    ///
    /// # Errors
    /// When the block does not decode, the parent's header is another block's, or a witness lacks it or has bytes
    /// for its root that are no node.
    pub fn into_input(self, origin: Origin) -> Result<BlockInput, InputError> {
        let located = |problem: Problem| problem.in_origin(origin.clone());
        let block = decode_block(&self.block, &self.chain)
            .map_err(|error| located(Problem::at("block", error)))?;
        let expected = block.header.parent_hash;
        if let Some(found) = self.parent_header.as_ref().map(Header::hash_slow)
            && found != expected
        {
            let problem = InputProblem::HeaderChain { expected, found };
            return Err(located(Problem::at("parent_header", problem)));
        }
        let mut known = MemoryState::default();
        for code in self.codes {
            known.insert_code(code);
        }
        for (number, hash) in self.block_hashes {
            known.insert_block_hash(number, hash);
        }
        let parent = match self.state {
            CapturedState::Snapshot(accounts) => {
                ParentState::Snapshot(with_accounts(known, accounts))
            }
            CapturedState::Witness(nodes) => {
                let Some(parent) = &self.parent_header else {
                    let problem = InputProblem::NoParentHeader { parent: expected };
                    return Err(located(Problem::at("parent_header", problem)));
                };
                let state = WitnessState::new(parent.state_root, nodes, known);
                let state = state.map_err(InputProblem::Witness);
                ParentState::Witness(
                    state.map_err(|problem| located(Problem::at("witness.state", problem)))?,
                )
            }
        };
        let (ommers, encoded_len) = if self.ommer_hashes.is_empty() {
            (Ommers::Known, Some(self.block.len()))
        } else {
            // Without its ommers the block is shorter than it was.
            (Ommers::HashesOnly(self.ommer_hashes), None)
        };
        Ok(BlockInput {
            origin,
            chain: self.chain,
            block,
            encoded_len,
            access_list: self.access_list,
            ommers,
            parent_header: self.parent_header,
            parent,
        })
    }
}

/// Equal if they say the same: the order of codes and nodes says nothing, nor does what is there twice.
impl PartialEq for Capture {
    fn eq(&self, other: &Self) -> bool {
        wire::Payload::of(self) == wire::Payload::of(other)
            && self.chain.chain_id() == other.chain.chain_id()
    }
}

/// Adds accounts to codes and hashes.
fn with_accounts(
    mut state: MemoryState,
    accounts: BTreeMap<Address, CapturedAccount>,
) -> MemoryState {
    for (address, CapturedAccount { account, storage }) in accounts {
        state.insert_account(address, account);
        for (slot, value) in storage {
            state.insert_storage(address, slot, value);
        }
    }
    state
}

/// The RLP of a block.
pub(crate) fn encode_block(block: &Block<Transaction>) -> Bytes {
    alloy_rlp::encode(block).into()
}

//! Chain files into a chain: decoded on one thread, executed on the others.
//!
//! A file may be imported again after it was interrupted anywhere: blocks that are there already are
//! told by their hash, without recovering senders, and passed over.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use alloy_consensus::{Block, BlockBody, Header};
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Decodable;
use warpline_chain::ChainSpec;
use warpline_primitives::RecoveredBlock;
use warpline_replay::{
    BlockDecodeError, ChainFile, ChainFileError, RawBlock, Rejection, decode_block,
};
use warpline_storage::StorageError;

use crate::{Chain, ImportError, Imported, IncomingBlock};

/// How many decoded blocks may wait for the engine.
const DECODED_AHEAD: usize = 16;

/// How often somebody is asked whether to go on while no block comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Blocks that came into the database, or stand beside the chain.
    pub imported: u64,
    /// Of those, blocks that stand beside the chain.
    pub beside: u64,
    /// Blocks of the chain that were taken back for others.
    pub taken_back: u64,
    /// Blocks that were there already.
    pub known: u64,
    /// Transactions in the blocks that came in.
    pub transactions: u64,
    /// Gas they used.
    pub gas: u64,
    /// The number of the block looked at last.
    pub number: u64,
    /// Where it ends in the file, in bytes after decompression.
    pub offset: u64,
}

/// Why an import ended before its file.
#[derive(Debug, thiserror::Error)]
pub enum ImportFileError {
    /// The file cannot be read on.
    #[error(transparent)]
    File(#[from] ChainFileError),
    /// A block was not imported.
    #[error("block {} at byte {offset}: {source}", Named(*.number))]
    Block {
        /// Its number, where it decodes so far.
        number: Option<u64>,
        /// Where it begins in the file.
        offset: u64,
        /// Why.
        source: Box<ImportError>,
    },
    /// The file begins with the genesis block of another chain.
    #[error("the file is of another chain: its genesis block is {found}, this chain's {expected}")]
    OtherChain {
        /// The chain's.
        expected: B256,
        /// The file's.
        found: B256,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A number, or that there is none.
struct Named(Option<u64>);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => write!(f, "{number}"),
            None => f.write_str("without a number"),
        }
    }
}

/// A block on its way from the file to the engine.
struct Decoded {
    number: Option<u64>,
    raw: RawBlock,
    block: Result<Content, BlockDecodeError>,
}

/// What is in it.
enum Content {
    /// A block above all that the chain had.
    New(Box<IncomingBlock>),
    /// The hash of one that the chain may have: until that is known, its senders are not recovered.
    Old(B256),
}

/// Imports the blocks of `file` in order. `progress` sees how far it is after each block, and now and then
/// while none comes, and says whether to go on. In the end everything imported is on the disk.
///
/// Whoever reads the file is not waited for: where it is a pipe, the next block may never come.
///
/// # Errors
/// [`ImportFileError::Block`] at the first block that is not imported, and where the file cannot be read.
/// What came before is imported, and on the disk. [`ImportFileError::Storage`] where the database fails:
/// then what it has is there.
pub fn import_file(
    chain: &mut Chain,
    file: ChainFile,
    mut progress: impl FnMut(&ImportProgress) -> bool,
) -> Result<ImportProgress, ImportFileError> {
    let (sender, blocks) = sync_channel(DECODED_AHEAD);
    let (spec, head) = (Arc::clone(chain.spec()), chain.head().header.number);
    let decode = move || {
        for raw in file {
            let decoded = raw.map(|raw| decode(raw, &spec, head));
            let failed = decoded.is_err();
            if sender.send(decoded).is_err() || failed {
                return;
            }
        }
    };
    let result = match thread::Builder::new().name("decode".into()).spawn(decode) {
        Ok(reader) => match import_all(chain, &blocks, &mut progress) {
            // Nothing more comes: it is through, or it broke off.
            Ok((done, Ended::File)) => match reader.join() {
                Ok(()) => Ok(done),
                Err(panic) => resume_unwind(panic),
            },
            Ok((done, Ended::Asked)) => Ok(done),
            Err(error) => Err(error),
        },
        Err(source) => Err(ChainFileError::Unreadable { offset: 0, source }.into()),
    };
    // Without it what was read ahead is not taken, and whoever reads ends.
    drop(blocks);
    let flushed = chain.flush();
    // Where the disk is full it refuses this as well, and says less about why.
    let done = result?;
    flushed?;
    Ok(done)
}

/// Decodes a block, unless it is not above `head` and the chain may have it.
fn decode(raw: RawBlock, spec: &ChainSpec, head: u64) -> Decoded {
    let header = header_of(&raw.rlp);
    let number = header.as_ref().ok().map(|(number, _)| *number);
    let block = header.map_err(BlockDecodeError::from).and_then(|(number, hash)| {
        if number <= head {
            return Ok(Content::Old(hash));
        }
        decode_whole(&raw, spec).map(|block| Content::New(Box::new(block)))
    });
    Decoded { number, raw, block }
}

fn decode_whole(raw: &RawBlock, spec: &ChainSpec) -> Result<IncomingBlock, BlockDecodeError> {
    let block = decode_block(&raw.rlp, spec)?;
    Ok(IncomingBlock { block, encoded_len: Some(raw.rlp.len()) })
}

/// Number and hash of an encoded block.
fn header_of(rlp: &[u8]) -> alloy_rlp::Result<(u64, B256)> {
    let block = alloy_rlp::Header::decode_bytes(&mut &*rlp, true)?;
    let mut rest = block;
    let header = Header::decode(&mut rest)?;
    Ok((header.number, keccak256(&block[..block.len() - rest.len()])))
}

/// The RLP of a block.
pub fn encode_block(block: &RecoveredBlock) -> Vec<u8> {
    let body = BlockBody {
        transactions: block.transactions.iter().map(|tx| tx.inner().clone()).collect(),
        ommers: block.ommers.clone(),
        withdrawals: block.withdrawals.clone(),
    };
    alloy_rlp::encode(Block { header: block.header.clone(), body })
}

/// Why no more blocks are imported.
enum Ended {
    /// There are none.
    File,
    /// Nobody wants to go on.
    Asked,
}

/// The next block, or why there is none.
fn wait<T>(blocks: &Receiver<T>, mut goes_on: impl FnMut() -> bool) -> Result<T, Ended> {
    loop {
        match blocks.recv_timeout(LOOK_EVERY) {
            Ok(block) => return Ok(block),
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::File),
            Err(RecvTimeoutError::Timeout) if goes_on() => {}
            Err(RecvTimeoutError::Timeout) => return Err(Ended::Asked),
        }
    }
}

/// Imports what comes. Says also why no more did.
fn import_all(
    chain: &mut Chain,
    blocks: &Receiver<Result<Decoded, ChainFileError>>,
    progress: &mut dyn FnMut(&ImportProgress) -> bool,
) -> Result<(ImportProgress, Ended), ImportFileError> {
    let mut done = ImportProgress::default();
    loop {
        let decoded = match blocks.try_recv() {
            Ok(decoded) => decoded,
            Err(TryRecvError::Disconnected) => return Ok((done, Ended::File)),
            Err(TryRecvError::Empty) => {
                // Whoever sends may take long. What came so far is not kept waiting.
                chain.finish()?;
                match wait(blocks, || progress(&done)) {
                    Ok(decoded) => decoded,
                    Err(ended) => return Ok((done, ended)),
                }
            }
        };
        let Decoded { number, raw, block } = decoded?;
        let (offset, end) = (raw.offset, raw.end());
        let failed = |error| match error {
            // That is about a block before.
            ImportError::Storage(error @ StorageError::Unwritten { .. }) => error.into(),
            error => ImportFileError::Block { number, offset, source: Box::new(error) },
        };
        let undecoded = |error| failed(Rejection::Decode(error).into());
        let block = match block.map_err(undecoded)? {
            Content::New(block) => Some(*block),
            Content::Old(hash) if chain.has(hash)? => None,
            Content::Old(_) => Some(decode_whole(&raw, chain.spec()).map_err(undecoded)?),
        };
        match block {
            None => done.known += 1,
            Some(incoming) if incoming.block.number() == 0 => {
                let found = incoming.block.hash;
                let expected = chain.database().view()?.hash(0)?.unwrap_or_default();
                return Err(ImportFileError::OtherChain { expected, found });
            }
            Some(incoming) => {
                let transactions = incoming.block.transactions.len() as u64;
                let gas = incoming.block.header.gas_used;
                match chain.import_ahead(incoming).map_err(failed)? {
                    Imported::Known => done.known += 1,
                    outcome => {
                        match outcome {
                            Imported::Beside => done.beside += 1,
                            Imported::Reorganised { removed, .. } => done.taken_back += removed,
                            Imported::Known | Imported::Extended => {}
                        }
                        done.imported += 1;
                        done.transactions += transactions;
                        done.gas += gas;
                    }
                }
            }
        }
        done.number = number.unwrap_or(done.number);
        done.offset = end;
        if !progress(&done) {
            return Ok((done, Ended::Asked));
        }
    }
}

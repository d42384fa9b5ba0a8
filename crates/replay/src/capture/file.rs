//! Captures as bytes: a head that says what follows, and the payload, compressed.
//!
//! The head has the length and the checksum of what follows, so that damage is found before anything is made of
//! it, and captures can stand one after the other in a file.

use std::{
    fmt,
    io::{self, Read as _},
};

use alloy_primitives::{B256, Keccak256};

use super::{Capture, chain::ChainProblem, wire::Payload};

/// The version of the format that this program writes, and the newest that it reads.
pub const CAPTURE_VERSION: u16 = 1;

/// How a capture begins. The first byte is no text, and a transfer that changes the ends of lines changes the last
/// two.
const MAGIC: [u8; 8] = *b"\x89WLCAP\r\n";

/// Magic, version, compression, chain id, length of the payload, length of what follows, checksum.
const HEAD: usize = 8 + 2 + 1 + 8 + 8 + 8 + 32;
/// How much of the head is below the checksum.
const CHECKED: usize = HEAD - 32;

/// The payload follows as it is.
const STORED: u8 = 0;
/// The payload follows as one frame of zstd.
const ZSTD: u8 = 1;

/// Beyond this level the files get little smaller and take long.
const LEVEL: i32 = 9;

/// The largest payload that is read into memory.
const MAX_PAYLOAD_BYTES: u64 = 1 << 30;

/// Why bytes are no capture, or one cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// They do not begin like one.
    #[error("not a capture")]
    NotACapture,
    /// A program of a later version wrote it.
    #[error(
        "a capture of version {found}, this program reads up to {CAPTURE_VERSION}: use a newer warpline, or convert the \
         original again with this one"
    )]
    Newer {
        /// Its version.
        found: u16,
    },
    /// It ends early.
    #[error(
        "the capture is cut off: {found} of {expected} bytes are there; fetch or convert it again"
    )]
    Truncated {
        /// How long it says it is.
        expected: u64,
        /// How much of that there is.
        found: u64,
    },
    /// It has changed since it was written.
    #[error(
        "the capture is damaged: its checksum is {stated}, the data has {computed}; fetch or convert it again"
    )]
    Checksum {
        /// What it says.
        stated: B256,
        /// What the bytes have.
        computed: B256,
    },
    /// It is compressed in a way that this program does not know.
    #[error("unknown compression {0}")]
    UnknownCompression(u8),
    /// It cannot be compressed or decompressed.
    #[error("the compression failed: {0}")]
    Compression(#[source] io::Error),
    /// It claims more than is read into memory.
    #[error("the capture has {claimed} bytes when decompressed, at most {limit} are read")]
    TooLarge {
        /// How long it claims to be.
        claimed: u64,
        /// How much is read.
        limit: u64,
    },
    /// What is decompressed is not as long as it says.
    #[error("the payload has {found} bytes, expected {expected}")]
    PayloadLength {
        /// What it says.
        expected: u64,
        /// How many there are, or one more than it says.
        found: u64,
    },
    /// A part is not the RLP that it has to be.
    #[error("{part}: malformed RLP: {source}")]
    Malformed {
        /// Which.
        part: CapturePart,
        /// What is wrong with it.
        source: alloy_rlp::Error,
    },
    /// A list is not in order, has something twice, or has what stands for nothing.
    #[error("{part}: not in order, or not there once")]
    NotCanonical {
        /// Which.
        part: CapturePart,
    },
    /// The state is of no known kind, or of two.
    #[error("state of kind {kind}: expected accounts (0) or trie nodes (1), and not both")]
    State {
        /// What it says it is.
        kind: u8,
    },
    /// The rules of the chain are none.
    #[error("rules: {0}")]
    Chain(#[from] ChainProblem),
}

/// A part of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapturePart {
    /// All of it.
    Payload,
    /// The header of the parent.
    ParentHeader,
    /// The accounts of a snapshot.
    Accounts,
    /// The slots of an account.
    Slots,
    /// The trie nodes of a witness.
    Nodes,
    /// The codes.
    Codes,
    /// The hashes of ancestors.
    BlockHashes,
    /// The access list.
    AccessList,
    /// The rules of the chain.
    Rules,
}

impl fmt::Display for CapturePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payload => "payload",
            Self::ParentHeader => "parent header",
            Self::Accounts => "accounts",
            Self::Slots => "slots",
            Self::Nodes => "trie nodes",
            Self::Codes => "codes",
            Self::BlockHashes => "block hashes",
            Self::AccessList => "access list",
            Self::Rules => "rules",
        })
    }
}

impl Capture {
    /// Whether `bytes` begin like a capture.
    pub fn is_capture(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// The bytes of a capture, which are the same for equal captures as long as it is the same version of zstd that
    /// compresses them. `docs/formats.md` has the format.
    ///
    /// # Errors
    /// When it is larger than what is read again, or cannot be compressed.
    pub fn encode(&self) -> Result<Vec<u8>, CaptureError> {
        let payload = alloy_rlp::encode(Payload::of(self));
        let length = payload.len() as u64;
        within_limit(length)?;
        let packed = zstd::bulk::compress(&payload, LEVEL).map_err(CaptureError::Compression)?;
        Ok(sealed(ZSTD, self.chain.chain_id(), length, &packed))
    }

    /// Decodes the capture at the beginning of `bytes`, and says how long it is.
    ///
    /// # Errors
    /// When there is none, it is of a later version, or it is damaged.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), CaptureError> {
        let head = Head::read(bytes)?;
        let end = (HEAD as u64).saturating_add(head.packed);
        let whole = usize::try_from(end).ok().and_then(|end| bytes.get(..end));
        let Some(whole) = whole else {
            return Err(CaptureError::Truncated { expected: end, found: bytes.len() as u64 });
        };
        let (checked, packed) = (&whole[..CHECKED], &whole[HEAD..]);
        let computed = checksum(checked, packed);
        if computed != head.checksum {
            return Err(CaptureError::Checksum { stated: head.checksum, computed });
        }
        let payload = match head.compression {
            STORED => packed.to_vec(),
            ZSTD => unpacked(packed, head.payload)?,
            unknown => return Err(CaptureError::UnknownCompression(unknown)),
        };
        let found = payload.len() as u64;
        if found != head.payload {
            return Err(CaptureError::PayloadLength { expected: head.payload, found });
        }
        let payload: Payload = alloy_rlp::decode_exact(&payload)
            .map_err(|source| CaptureError::Malformed { part: CapturePart::Payload, source })?;
        Ok((payload.into_capture(head.chain_id)?, whole.len()))
    }
}

/// What stands before the payload.
struct Head {
    compression: u8,
    chain_id: u64,
    /// The length of the payload.
    payload: u64,
    /// The length of what follows.
    packed: u64,
    checksum: B256,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, CaptureError> {
        if !Capture::is_capture(bytes) {
            return Err(CaptureError::NotACapture);
        }
        let mut rest = bytes.get(MAGIC.len()..).unwrap_or_default();
        let cut = || CaptureError::Truncated { expected: HEAD as u64, found: bytes.len() as u64 };
        // A later version may have another head.
        let version = u16::from_be_bytes(take(&mut rest).ok_or_else(cut)?);
        if version > CAPTURE_VERSION {
            return Err(CaptureError::Newer { found: version });
        }
        if version == 0 {
            return Err(CaptureError::NotACapture);
        }
        let mut read = || {
            Some(Self {
                compression: u8::from_be_bytes(take(&mut rest)?),
                chain_id: u64::from_be_bytes(take(&mut rest)?),
                payload: u64::from_be_bytes(take(&mut rest)?),
                packed: u64::from_be_bytes(take(&mut rest)?),
                checksum: take::<32>(&mut rest)?.into(),
            })
        };
        let head = read().ok_or_else(cut)?;
        within_limit(head.payload)?;
        Ok(head)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn within_limit(claimed: u64) -> Result<(), CaptureError> {
    if claimed > MAX_PAYLOAD_BYTES {
        return Err(CaptureError::TooLarge { claimed, limit: MAX_PAYLOAD_BYTES });
    }
    Ok(())
}

/// Puts the head before `packed`.
fn sealed(compression: u8, chain_id: u64, length: u64, packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + packed.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&CAPTURE_VERSION.to_be_bytes());
    bytes.push(compression);
    bytes.extend_from_slice(&chain_id.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&(packed.len() as u64).to_be_bytes());
    let checksum = checksum(&bytes, packed);
    bytes.extend_from_slice(checksum.as_slice());
    bytes.extend_from_slice(packed);
    bytes
}

fn checksum(head: &[u8], packed: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(head);
    hasher.update(packed);
    hasher.finalize()
}

/// Decompresses up to one byte more than `length`. The buffer grows with what is there, not with what is claimed.
fn unpacked(packed: &[u8], length: u64) -> Result<Vec<u8>, CaptureError> {
    let mut payload = Vec::new();
    zstd::Decoder::with_buffer(packed)
        .and_then(|decoder| decoder.take(length.saturating_add(1)).read_to_end(&mut payload))
        .map_err(CaptureError::Compression)?;
    Ok(payload)
}

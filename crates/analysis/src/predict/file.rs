//! A predictor as a file.
//!
//! Two lines. The first is a JSON object that says what the file is: `format`, which is
//! `warpline-predictor`; `version`; and of the second line, without its end, the `length` in bytes and
//! the `keccak` of it. The second is a JSON object with the model: `blocks`, how many were learned, and
//! `contexts`, ascending, each with its `key`, its counts and its patterns.
//!
//! A file may come from anybody. No more than [`MAX_BYTES`] are read, what does not have the hash that it
//! says is refused before it is looked at, and what does not fit into the predictor is forgotten.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
};

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};

use super::{
    Config, Predictor,
    model::{Context, Count, Key, MAX_PATTERNS, Model, Times},
    pattern::Pattern,
};

const FORMAT: &str = "warpline-predictor";
const VERSION: u32 = 1;
/// The longest file that is read: 256 MiB, and the longest first line.
const MAX_BYTES: u64 = 256 << 20;
const MAX_HEADER_BYTES: u64 = 1 << 10;
/// More blocks than there will be.
const MAX_BLOCKS: u64 = 1 << 48;

/// Why a predictor could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read the predictor")]
    Read(#[from] std::io::Error),
    /// It is something else.
    #[error("not a predictor")]
    Foreign,
    /// It was written by a version that is not known here.
    #[error("the predictor has version {found}, and {VERSION} is the latest known")]
    Version {
        /// Which.
        found: u32,
    },
    /// It is longer than any predictor.
    #[error("the predictor has {bytes} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// How long it says it is.
        bytes: u64,
    },
    /// It is not what was written.
    #[error("the predictor is damaged: expected hash {expected}, found {found}")]
    Damaged {
        /// The hash that it should have.
        expected: B256,
        /// The hash that it has.
        found: B256,
    },
    /// It is what somebody wrote, but no predictor could.
    #[error("the predictor makes no sense")]
    Malformed(#[from] serde_json::Error),
    /// It says what no blocks can have taught.
    #[error("the predictor says what it cannot have learned")]
    Impossible,
}

/// Why a predictor could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// It cannot be written.
    #[error("cannot write the predictor")]
    Write(#[from] std::io::Error),
    /// It cannot be put into words.
    #[error("cannot encode the predictor")]
    Encode(#[from] serde_json::Error),
}

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    length: u64,
    keccak: B256,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    blocks: u64,
    contexts: Vec<Saved>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    key: Key,
    seen: u32,
    at: u64,
    conflicts: u32,
    times: Times,
    patterns: Vec<(Pattern, Count)>,
}

impl Predictor {
    /// Writes all that was learned. The configuration is not part of it.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn save(&self, mut writer: impl Write) -> Result<(), SaveError> {
        let saved = |(key, context): (&Key, &Context)| Saved {
            key: *key,
            seen: context.seen,
            at: context.at,
            conflicts: context.conflicts,
            times: context.times,
            patterns: context.patterns.iter().map(|(pattern, count)| (*pattern, *count)).collect(),
        };
        let contexts = self.model.contexts.iter().map(saved).collect();
        let body = serde_json::to_vec(&Body { blocks: self.model.blocks, contexts })?;
        let header = Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            length: body.len() as u64,
            keccak: keccak256(&body),
        };
        serde_json::to_writer(&mut writer, &header)?;
        writer.write_all(b"\n")?;
        writer.write_all(&body)?;
        writer.write_all(b"\n")?;
        writer.flush()?;
        Ok(())
    }

    /// Reads what [`save`](Self::save) wrote, as much as `config` has room for.
    ///
    /// # Errors
    /// When it cannot be read, is not a predictor, is of a later version, is damaged, or is nothing that
    /// can have been learned.
    pub fn load(reader: impl Read, config: Config) -> Result<Self, LoadError> {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        reader.by_ref().take(MAX_HEADER_BYTES).read_until(b'\n', &mut line)?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| LoadError::Foreign)?;
        if header.format != FORMAT {
            return Err(LoadError::Foreign);
        }
        if header.version != VERSION {
            return Err(LoadError::Version { found: header.version });
        }
        if header.length > MAX_BYTES {
            return Err(LoadError::TooLong { bytes: header.length });
        }
        let mut body = Vec::new();
        reader.take(header.length).read_to_end(&mut body)?;
        let found = keccak256(&body);
        if found != header.keccak {
            return Err(LoadError::Damaged { expected: header.keccak, found });
        }
        let body: Body = serde_json::from_slice(&body)?;
        let is_possible =
            |saved: &Saved| saved.patterns.len() <= MAX_PATTERNS && saved.times.are_possible();
        if body.blocks > MAX_BLOCKS || !body.contexts.iter().all(is_possible) {
            return Err(LoadError::Impossible);
        }
        let context = |saved: Saved| {
            let Saved { key, seen, at, conflicts, times, patterns } = saved;
            let at = at.min(body.blocks);
            (key, Context { seen, at, conflicts, times, patterns: patterns.into_iter().collect() })
        };
        let contexts: BTreeMap<_, _> = body.contexts.into_iter().map(context).collect();
        let patterns = contexts.values().map(|context| context.patterns.len()).sum();
        let mut model = Model { blocks: body.blocks, contexts, patterns };
        model.fit(&config.limits());
        Ok(Self { config, model, ..Self::default() })
    }
}

//! From paths to inputs.

use std::{path::PathBuf, sync::Arc, vec};

use warpline_chain::ChainSpec;

use crate::{
    BlockInput, Capture, ChainTest, InputError, InputProblem, Origin,
    capture::MAINNET,
    documents::{Document, Documents},
    format::{self, Decoded},
};

/// Something found under the paths.
#[derive(Clone, Debug)]
pub enum Input {
    /// A block with the state it starts from.
    Block(Box<BlockInput>),
    /// A case of a blockchain test.
    ChainTest(Box<ChainTest>),
    /// A JSON document in no known format that nobody has asked for by name: it was met in a
    /// directory or an archive. Worth a notice, not a failure.
    Skipped(Origin),
}

/// As [`Input`], with blocks as they were given.
#[derive(Clone, Debug)]
pub enum Captured {
    /// A block with the state it starts from, and where it was read.
    Block(Origin, Box<Capture>),
    /// A case of a blockchain test.
    ChainTest(Box<ChainTest>),
    /// As [`Input::Skipped`].
    Skipped(Origin),
}

impl Captured {
    fn into_input(self) -> Result<Input, InputError> {
        Ok(match self {
            Self::Block(origin, capture) => Input::Block(Box::new(capture.into_input(origin)?)),
            Self::ChainTest(test) => Input::ChainTest(test),
            Self::Skipped(origin) => Input::Skipped(origin),
        })
    }
}

/// All inputs under some paths, one after the other.
///
/// Files, directories (recursively, by name), gzip and zstd files and tar archives are all taken
/// alike, and what they hold is told from their contents. An error is about one file, archive
/// member or case; what comes after it is still read.
pub struct Inputs(Captures);

impl Inputs {
    /// The inputs under `paths`. Snapshots and witnesses are taken to be of Ethereum mainnet.
    pub fn open(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self(Captures::open(paths))
    }

    /// The inputs under `paths`. Snapshots and witnesses are taken to be of `chain`.
    pub fn with_chain(
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
        chain: Arc<ChainSpec>,
    ) -> Self {
        Self(Captures::with_chain(paths, chain))
    }
}

impl Iterator for Inputs {
    type Item = Result<Input, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|captured| captured.and_then(Captured::into_input))
    }
}

/// All inputs under some paths as [`Inputs`] finds them, with blocks as they were given: for whoever keeps them
/// instead of executing them.
pub struct Captures {
    chain: Arc<ChainSpec>,
    documents: Documents,
    rest: Rest,
}

/// What is left of the document that was opened last.
enum Rest {
    Nothing,
    Cases(vec::IntoIter<Result<ChainTest, InputError>>),
    Captures(CaptureFile),
}

impl Captures {
    /// The inputs under `paths`. Snapshots and witnesses are taken to be of Ethereum mainnet.
    pub fn open(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self::with_chain(paths, MAINNET.clone())
    }

    /// The inputs under `paths`. Snapshots and witnesses are taken to be of `chain`; captures say themselves which
    /// chain they are of.
    pub fn with_chain(
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
        chain: Arc<ChainSpec>,
    ) -> Self {
        let paths = paths.into_iter().map(Into::into).collect();
        Self { chain, documents: Documents::new(paths), rest: Rest::Nothing }
    }

    fn next_of_document(&mut self) -> Option<Result<Captured, InputError>> {
        match &mut self.rest {
            Rest::Nothing => None,
            Rest::Cases(cases) => {
                cases.next().map(|case| case.map(|case| Captured::ChainTest(Box::new(case))))
            }
            Rest::Captures(file) => file.next(),
        }
    }

    fn open_document(&mut self, document: Document) -> Option<Result<Captured, InputError>> {
        let Document { origin, bytes, named } = document;
        if Capture::is_capture(&bytes) {
            self.rest = Rest::Captures(CaptureFile::new(origin, bytes));
            return None;
        }
        match format::decode(&bytes, &origin, &self.chain) {
            Err(error) => Some(Err(error)),
            Ok(Decoded::Block(capture)) => Some(Ok(Captured::Block(origin, capture))),
            Ok(Decoded::ChainTests(cases)) => {
                self.rest = Rest::Cases(cases.into_iter());
                None
            }
            Ok(Decoded::Unknown) if named => {
                Some(Err(InputError::new(origin, InputProblem::UnknownFormat)))
            }
            Ok(Decoded::Unknown) => Some(Ok(Captured::Skipped(origin))),
        }
    }
}

impl Iterator for Captures {
    type Item = Result<Captured, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(captured) = self.next_of_document() {
                return Some(captured);
            }
            self.rest = Rest::Nothing;
            let found = match self.documents.next()? {
                Ok(document) => self.open_document(document),
                Err(error) => Some(Err(error)),
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

/// The captures of one file, one after the other. After an error there are no more: where the next one begins is
/// in doubt.
struct CaptureFile {
    origin: Origin,
    bytes: Vec<u8>,
    offset: usize,
}

impl CaptureFile {
    const fn new(origin: Origin, bytes: Vec<u8>) -> Self {
        Self { origin, bytes, offset: 0 }
    }

    /// What is called what of several: the place at which it begins.
    fn origin(&self, end: usize) -> Origin {
        let is_alone = self.offset == 0 && end == self.bytes.len();
        if is_alone { self.origin.clone() } else { self.origin.with_case(self.offset.to_string()) }
    }
}

impl Iterator for CaptureFile {
    type Item = Result<Captured, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.offset..).filter(|rest| !rest.is_empty())?;
        Some(match Capture::decode(rest) {
            Ok((capture, length)) => {
                let end = self.offset + length;
                let origin = self.origin(end);
                self.offset = end;
                Ok(Captured::Block(origin, Box::new(capture)))
            }
            Err(error) => {
                let origin = self.origin(self.bytes.len());
                self.offset = self.bytes.len();
                Err(InputError::new(origin, error))
            }
        })
    }
}

/// Decodes the inputs in one uncompressed document. `origin` is what errors and labels call it.
///
/// # Errors
/// Each case of a blockchain test and each capture has a result of its own; anything else has one.
pub fn decode_document(
    document: &[u8],
    origin: &Origin,
    chain: &Arc<ChainSpec>,
) -> Vec<Result<Input, InputError>> {
    let no_paths: [PathBuf; 0] = [];
    let mut captures = Captures::with_chain(no_paths, chain.clone());
    let document = Document { origin: origin.clone(), bytes: document.to_vec(), named: true };
    let first = captures.open_document(document);
    first
        .into_iter()
        .chain(captures)
        .map(|captured| captured.and_then(Captured::into_input))
        .collect()
}

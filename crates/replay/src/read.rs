//! From paths to inputs.

use std::{path::PathBuf, sync::Arc, vec};

use warpline_chain::ChainSpec;

use crate::{
    BlockInput, ChainTest, InputError, InputProblem, Origin,
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

/// All inputs under some paths, one after the other.
///
/// Files, directories (recursively, by name), gzip and zstd files and tar archives are all taken
/// alike, and what they hold is told from their contents. An error is about one file, archive
/// member or case; what comes after it is still read.
pub struct Inputs {
    chain: Arc<ChainSpec>,
    documents: Documents,
    cases: vec::IntoIter<Result<ChainTest, InputError>>,
}

impl Inputs {
    /// The inputs under `paths`. Snapshots and witnesses are taken to be of Ethereum mainnet.
    pub fn open(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self::with_chain(paths, Arc::new(ChainSpec::mainnet()))
    }

    /// The inputs under `paths`. Snapshots and witnesses are taken to be of `chain`.
    pub fn with_chain(
        paths: impl IntoIterator<Item = impl Into<PathBuf>>,
        chain: Arc<ChainSpec>,
    ) -> Self {
        let paths = paths.into_iter().map(Into::into).collect();
        Self { chain, documents: Documents::new(paths), cases: Vec::new().into_iter() }
    }

    fn decode(&mut self, document: &Document) -> Result<Option<Input>, InputError> {
        let Document { origin, bytes, named } = document;
        match format::decode(bytes, origin, &self.chain)? {
            Decoded::Block(block) => Ok(Some(Input::Block(block))),
            Decoded::ChainTests(cases) => {
                self.cases = cases.into_iter();
                Ok(None)
            }
            Decoded::Unknown if *named => {
                Err(InputError::new(origin.clone(), InputProblem::UnknownFormat))
            }
            Decoded::Unknown => Ok(Some(Input::Skipped(origin.clone()))),
        }
    }
}

impl Iterator for Inputs {
    type Item = Result<Input, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(case) = self.cases.next() {
                return Some(case.map(|case| Input::ChainTest(Box::new(case))));
            }
            let document = match self.documents.next()? {
                Ok(document) => document,
                Err(error) => return Some(Err(error)),
            };
            if let Some(input) = self.decode(&document).transpose() {
                return Some(input);
            }
        }
    }
}

/// Decodes the inputs in one uncompressed document. `origin` is what errors and labels call it.
///
/// # Errors
/// Each case of a blockchain test has a result of its own; anything else has one.
pub fn decode_document(
    document: &[u8],
    origin: &Origin,
    chain: &Arc<ChainSpec>,
) -> Vec<Result<Input, InputError>> {
    match format::decode(document, origin, chain) {
        Ok(Decoded::Block(block)) => vec![Ok(Input::Block(block))],
        Ok(Decoded::ChainTests(cases)) => {
            let input = |case: Result<ChainTest, _>| case.map(|case| Input::ChainTest(case.into()));
            cases.into_iter().map(input).collect()
        }
        Ok(Decoded::Unknown) => {
            vec![Err(InputError::new(origin.clone(), InputProblem::UnknownFormat))]
        }
        Err(error) => vec![Err(error)],
    }
}

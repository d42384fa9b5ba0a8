//! Which ommers a block may include (Yellow Paper 11.1).

use alloy_consensus::Header;
use alloy_primitives::B256;

use crate::{ChainSpec, HeaderError};

/// How many ommers a block may have.
const MAX_OMMERS: usize = 2;

/// How far back the parent of an ommer may be, the block's own parent being generation one.
const MAX_PARENT_GENERATION: usize = 7;

/// Why a block may not include its ommers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OmmerError {
    /// There are too many.
    #[error("{found} ommers, at most {max} are allowed")]
    TooMany {
        /// The most there may be.
        max: usize,
        /// How many there are.
        found: usize,
    },
    /// The block lists it twice, or a recent ancestor has included it before.
    #[error("ommer {hash} is included more than once")]
    Duplicate {
        /// The ommer's hash.
        hash: B256,
    },
    /// It is an ancestor of the block, or the block itself.
    #[error("ommer {hash} is an ancestor")]
    Ancestor {
        /// The ommer's hash.
        hash: B256,
    },
    /// Its parent is not among the second to seventh ancestors: it is a sibling of the block, too
    /// old, or no relative.
    #[error("the parent {parent} of ommer {hash} is not an ancestor of the right age")]
    Kinship {
        /// The ommer's hash.
        hash: B256,
        /// Its parent's.
        parent: B256,
    },
    /// It is no valid child of its parent.
    #[error("ommer {hash}: {error}")]
    Header {
        /// The ommer's hash.
        hash: B256,
        /// The rule its header breaks.
        #[source]
        error: HeaderError,
    },
}

impl ChainSpec {
    /// Checks the `ommers` of the block with `header`.
    ///
    /// `ancestors` are the headers before it, parent first; up to seven generations are looked at,
    /// fewer only at the beginning of the chain. They are trusted to be each other's parents.
    /// `included` are the hashes of the ommers these ancestors included, in any order.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate_ommers(
        &self,
        header: &Header,
        ommers: &[Header],
        ancestors: &[Header],
        included: &[B256],
    ) -> Result<(), OmmerError> {
        if ommers.is_empty() {
            return Ok(());
        }
        if ommers.len() > MAX_OMMERS {
            return Err(OmmerError::TooMany { max: MAX_OMMERS, found: ommers.len() });
        }
        let ancestors = &ancestors[..ancestors.len().min(MAX_PARENT_GENERATION)];
        // Each header names its parent, so no ancestor needs hashing.
        let children = std::iter::once(header).chain(ancestors);
        let hashes: Vec<_> =
            children.map(|child| child.parent_hash).take(ancestors.len()).collect();
        let block_hash = header.hash_slow();
        let mut seen = Vec::with_capacity(MAX_OMMERS);
        for ommer in ommers {
            let hash = ommer.hash_slow();
            if seen.contains(&hash) || included.contains(&hash) {
                return Err(OmmerError::Duplicate { hash });
            }
            if hash == block_hash || hashes.contains(&hash) {
                return Err(OmmerError::Ancestor { hash });
            }
            let generation = hashes.iter().position(|ancestor| *ancestor == ommer.parent_hash);
            let Some(parent) = generation.filter(|index| *index > 0) else {
                return Err(OmmerError::Kinship { hash, parent: ommer.parent_hash });
            };
            self.validate_header_of_parent(ommer, &ancestors[parent])
                .map_err(|error| OmmerError::Header { hash, error })?;
            seen.push(hash);
        }
        Ok(())
    }
}

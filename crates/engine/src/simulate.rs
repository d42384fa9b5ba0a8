//! Blocks that nobody made: calls in blocks on top of one that exists, as `eth_simulateV1` has them.
//!
//! The blocks come one after the other, each on the state that the one before left, and are as whole
//! as blocks are: system calls, receipts, roots, a hash that the next one finds as its parent's and
//! by `BLOCKHASH`. Only the signatures are missing, and who validates less asks for less. What the
//! state root is somebody else has to say, who has the trie: a function of all that changed since the
//! block that exists.
//!
//! The gas of all calls together is bounded, and so is the number of blocks.

mod block;
mod error;
mod headers;
mod transaction;
mod transfers;

use std::{error::Error, time::Instant};

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{B256, Log};
use alloy_rpc_types_eth::simulate::{MAX_SIMULATE_BLOCKS, SimulatePayload};
use warpline_primitives::{Receipt, RecoveredBlock, StateDiff, StateSource};

pub use error::{SimulateError, SimulateRefusal};
pub(crate) use transaction::unsigned_hash;

use crate::{
    BlockVm, CallDb, Called, Cancellation, Engine, Ethereum,
    call::{CallOptions, on_source, overrides},
    cancel::EarlyEnd,
    vm::env_of_header,
};
use block::Simulation;

/// How far a simulation may go.
#[derive(Clone, Copy, Debug)]
pub struct SimulateOptions<'c> {
    /// The most gas that all calls use together.
    pub gas_cap: u64,
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Gives up as soon as it is switched.
    pub cancellation: Option<&'c Cancellation>,
    /// What is withdrawn at the end of each block that is described, in their order; of further blocks
    /// nothing is (EIP-4895).
    pub withdrawals: &'c [Withdrawals],
}

impl Default for SimulateOptions<'_> {
    /// What a single call may use, and all the time it takes.
    fn default() -> Self {
        let CallOptions { gas_cap, deadline, .. } = CallOptions::default();
        Self { gas_cap, deadline, cancellation: None, withdrawals: &[] }
    }
}

/// A block that was simulated.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// The block, complete but for signatures: those are zero.
    pub block: RecoveredBlock,
    /// What its calls came to.
    pub calls: Vec<SimulatedCall>,
    /// The receipts of these.
    pub receipts: Vec<Receipt>,
}

/// What a call in a block came to.
#[derive(Clone, Debug)]
pub struct SimulatedCall {
    /// Its result. The logs are those of its receipt.
    pub called: Called,
    /// Its logs with their positions in the block, and among them, where that was asked for, one for
    /// each payment: a `Transfer` of a token whose address is all `0xee`. Logs that were taken back
    /// count, too.
    pub logs: Vec<(u64, Log)>,
}

impl Engine<Ethereum> {
    /// Simulates the blocks that `payload` describes on top of the block of `base`, whose state
    /// `source` reads. `root` says what the state root is after all that changed since, overrides
    /// included; it is asked once for each block, in order.
    ///
    /// Blocks between those that are numbered are empty, and among the results.
    ///
    /// # Errors
    /// [`SimulateError::Refused`] where the blocks do not make sense or hold too much, and as
    /// [`call`](Self::call) with the first call that cannot be executed as a transaction: one such
    /// call fails all. [`SimulateError::Root`] where `root` failed.
    pub fn simulate<S: StateSource>(
        &self,
        base: &Header,
        source: &S,
        payload: &SimulatePayload,
        options: SimulateOptions<'_>,
        mut root: impl FnMut(&StateDiff) -> Result<B256, Box<dyn Error + Send + Sync>>,
    ) -> Result<Vec<SimulatedBlock>, SimulateError<S::Error>> {
        for block in &payload.block_state_calls {
            block.block_overrides.as_ref().map_or(Ok(()), overrides::check)?;
        }
        let blocks = (payload.block_state_calls.as_slice(), options.withdrawals);
        let plans = headers::plan(self.vm().spec(), base, blocks)?;
        let simulated = on_source(source, |source| {
            let rules = self.vm().rules(&env_of_header(self.vm().spec(), base));
            let SimulateOptions { deadline, cancellation, gas_cap, .. } = options;
            let early_end = EarlyEnd { cancellation, deadline };
            let mut db = CallDb::new(source, self.codes(), &rules, early_end);
            db.override_hashes([(base.number, base.hash_slow())]);
            let mut simulation = Simulation::new(self, db, payload, gas_cap);
            let mut parent = base.clone();
            let mut blocks = Vec::with_capacity(plans.len());
            for plan in plans {
                let block = match simulation.run(&parent, plan, &mut root) {
                    Ok(block) => block,
                    Err(error) => return Ok(Err(error)),
                };
                parent.clone_from(&block.block.header);
                blocks.push(block);
            }
            Ok(Ok(blocks))
        });
        simulated?.map_err(SimulateError::typed)
    }
}

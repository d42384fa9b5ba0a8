//! How much gas a call needs, found by executing it again and again.
//!
//! The search is Geth's, step by step, so that the answers are: which limits are tried first, when the
//! answer is close enough, and what counts as too little.

use alloy_consensus::Header;
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip7825::MAX_TX_GAS_LIMIT_OSAKA};
use alloy_primitives::U256;
use alloy_rpc_types_eth::TransactionRequest;
use revm::{
    context::{
        TxEnv,
        result::{ExecutionResult, HaltReason},
    },
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
};
use warpline_primitives::StateSource;

use super::{CallEnd, CallError, CallOptions, CallRefusal, CallRule, Called, Caller, on_source};
use crate::{Engine, Ethereum, ExecutionError, SourceError};

/// What a payment costs, and the least that a call can be limited to.
const PAYMENT: u64 = 21_000;
/// What a callee is given on top of what its caller pays for.
const STIPEND: u64 = 2_300;

/// How much gas a call needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GasEstimate {
    /// With so much it succeeds; a limit that is less by more than 1.5 percent may be too low.
    Enough(u64),
    /// It fails, and not for want of gas.
    Fails(CallEnd),
}

impl Engine<Ethereum> {
    /// Finds out how much gas a call needs that is executed as [`call`](Self::call) executes it:
    /// at most what the request says, or what the block has, and what the sender can pay at the
    /// price that the request offers.
    ///
    /// # Errors
    /// As [`call`](Self::call). [`CallRefusal::Allowance`] where the most that the call may have is
    /// not enough.
    pub fn estimate_gas<S: StateSource>(
        &self,
        header: &Header,
        source: &S,
        request: &TransactionRequest,
        options: CallOptions<'_>,
    ) -> Result<GasEstimate, CallError<S::Error>> {
        on_source(source, |source| {
            let (caller, mut tx) =
                Caller::begin(self, header, source, options, request, NoOpInspector {})?;
            tx.gas_limit = request.gas.unwrap_or_default();
            Search { caller, tx }.run(options.gas_cap)
        })
    }
}

/// A call whose gas limit is looked for.
struct Search<'d> {
    caller: Caller<'d, NoOpInspector>,
    tx: TxEnv,
}

impl Search<'_> {
    fn run(mut self, gas_cap: u64) -> Result<GasEstimate, CallError<SourceError>> {
        let mut high = self.highest()?.min(gas_cap);
        if self.is_payment()? && self.succeeds_with(PAYMENT).is_ok_and(|succeeds| succeeds) {
            return Ok(GasEstimate::Enough(PAYMENT));
        }
        let Some(first) = self.execute(high)? else {
            return Err(CallRefusal::Allowance(high).into());
        };
        let first = Called::from(first);
        match first.end {
            CallEnd::Success { .. } => {}
            CallEnd::Halt { reason: HaltReason::OutOfGas(_) } => {
                return Err(CallRefusal::Allowance(high).into());
            }
            end => return Ok(GasEstimate::Fails(end)),
        }
        // What it took is less than it needs, if some of it came back or was held ready.
        let mut low = first.gas_used.saturating_sub(1);
        let likely = (first.max_gas_used + STIPEND).saturating_mul(64) / 63;
        if likely < high {
            if self.succeeds_with(likely)? { high = likely } else { low = likely }
        }
        while low + 1 < high && !is_close(low, high) {
            // Most calls need little more than they use, so the search stays near the lower end.
            let middle = (low + (high - low) / 2).min(low.saturating_mul(2));
            if self.succeeds_with(middle)? { high = middle } else { low = middle }
        }
        Ok(GasEstimate::Enough(high))
    }

    /// The most that the call could have.
    fn highest(&mut self) -> Result<u64, CallError<SourceError>> {
        let block = self.caller.block().gas_limit;
        let wanted = Some(self.tx.gas_limit).filter(|wanted| *wanted >= PAYMENT);
        let most = wanted.unwrap_or(block).min(self.affordable()?);
        let spec = self.caller.spec();
        let is_capped = spec.is_enabled_in(SpecId::OSAKA) && !spec.is_enabled_in(SpecId::AMSTERDAM);
        Ok(if is_capped { most.min(MAX_TX_GAS_LIMIT_OSAKA) } else { most })
    }

    /// How much gas the sender can pay.
    fn affordable(&mut self) -> Result<u64, CallError<SourceError>> {
        if self.tx.gas_price == 0 {
            return Ok(u64::MAX);
        }
        let sender = self.caller.parts().0.overlay().account_now(self.tx.caller);
        let have = sender.map_err(ExecutionError::StateRead)?.unwrap_or_default().balance;
        let left = have.checked_sub(self.tx.value).filter(|left| !left.is_zero());
        let mut left = left.ok_or(CallRefusal::FundsForTransfer)?;
        if !self.tx.blob_hashes.is_empty() {
            let blob_gas = U256::from(DATA_GAS_PER_BLOB) * U256::from(self.tx.blob_hashes.len());
            let blobs = blob_gas.saturating_mul(U256::from(self.tx.max_fee_per_blob_gas));
            left = left.checked_sub(blobs).filter(|left| !left.is_zero()).ok_or_else(|| {
                let (address, want) = (self.tx.caller, blobs.saturating_add(self.tx.value));
                let rule = CallRule::Funds { address, have, want };
                CallRefusal::Rule { rule, gas_limit: self.tx.gas_limit }
            })?;
        }
        Ok((left / U256::from(self.tx.gas_price)).saturating_to())
    }

    /// Whether the call only pays somebody without code.
    fn is_payment(&mut self) -> Result<bool, CallError<SourceError>> {
        let Some(to) = self.tx.kind.to().filter(|_| self.tx.data.is_empty()) else {
            return Ok(false);
        };
        let to = self.caller.parts().0.overlay().account_now(*to);
        let to = to.map_err(ExecutionError::StateRead)?;
        Ok(to.is_none_or(|account| !account.has_code()))
    }

    fn succeeds_with(&mut self, gas_limit: u64) -> Result<bool, CallError<SourceError>> {
        Ok(self.execute(gas_limit)?.is_some_and(|result| result.is_success()))
    }

    /// Executes the call with so much gas; `None` where that is too little to begin.
    fn execute(
        &mut self,
        gas_limit: u64,
    ) -> Result<Option<ExecutionResult>, CallError<SourceError>> {
        use CallRule::{FloorDataGas, IntrinsicGas};
        let tx = TxEnv { gas_limit, ..self.tx.clone() };
        match self.caller.execute(tx) {
            Ok(done) => Ok(Some(done.result)),
            Err(CallError::Refused(CallRefusal::Rule {
                rule: IntrinsicGas { .. } | FloorDataGas { .. },
                ..
            })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether it is not worth finding out what lies between: less than 1.5 percent.
const fn is_close(low: u64, high: u64) -> bool {
    (high - low) as u128 * 1000 < high as u128 * 15
}

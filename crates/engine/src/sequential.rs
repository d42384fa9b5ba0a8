//! One transaction after the other: what the parallel path must equal, and what it must beat.

mod overlay;

use std::time::Instant;

use alloy_evm::{Evm, EvmFactory};
use warpline_primitives::{BlockOutput, CommitStep, StateSource, WorkCounts};

pub(crate) use overlay::Overlay;
pub use overlay::ReadFailed;

use crate::{
    BalanceUses, BuildEnd, ExecutionError, Noted, TransactionTrace,
    build::{Admission, Finished},
    commit::Sinks,
    execute::{Ended, Job},
    step,
    vm::{BlockVm, Transacted, diff_of, refusal},
};

/// Executes the block on the calling thread. With `traces`, what each transaction did is added
/// there.
pub(crate) fn execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    mut sinks: Sinks<'_>,
    mut admission: Admission,
    mut traces: Option<&mut Vec<TransactionTrace>>,
) -> Ended<V, S> {
    let Job { vm, block, source, env, rules, codes, .. } = job;
    let db = Overlay::new(source, codes, &rules, sinks.follow_fees());
    let mut evm = vm.factory().create_evm(db, env.clone());
    let mut receipts = Vec::with_capacity(block.transactions.len());
    let mut end = BuildEnd::NoMoreCandidates;

    let pre_block = vm.pre_block(&mut evm, block);
    step::end::<V, S, _>(&mut evm, pre_block)?;
    sinks.step(CommitStep::PreBlock, evm.db_mut().take_commits())?;

    for (index, tx) in block.transactions.iter().enumerate() {
        let early = job.early_end.reason();
        if early.is_some() && admission.building.is_none() {
            return Err(ExecutionError::Cancelled);
        }
        if let Some(early) = early.or_else(|| admission.is_full().then_some(BuildEnd::Full)) {
            end = early;
            break;
        }
        let bytes = job.encoded_len(index, &admission);
        if !admission.admit(index, tx.inner(), bytes)? {
            continue;
        }
        let start = traces.is_some().then(Instant::now);
        let executed = if let Some(start) = start {
            evm.db_mut().meter_time(start);
            vm.transact_noting(&mut evm, vm.tx_env(tx))
        } else {
            let transacted = vm.transact(&mut evm, vm.tx_env(tx));
            transacted.map(|transacted| Noted { transacted, balances: BalanceUses::default() })
        };
        let Noted { transacted, balances } = match executed {
            Ok(noted) => noted,
            Err(error) => {
                if let Some(error) = evm.db_mut().take_failure() {
                    return Err(ExecutionError::StateRead(error));
                }
                admission.refuse(index, refusal(index, error)?)?;
                continue;
            }
        };
        let Transacted { result, state, deferred_fee } = transacted;
        let gas_used = result.gas().tx_gas_used();
        let cumulative = admission.gas.add(result.gas(), tx.inner());
        admission.include(index, bytes);
        let mut receipt = vm.receipt(tx, result);
        V::set_cumulative_gas(&mut receipt, cumulative);
        let followed = sinks.follow_fees();
        let fee = evm.db_mut().commit_transaction(&state, deferred_fee, followed)?;
        let changes = sinks.observer.is_some().then(|| diff_of(&state));
        sinks.transaction(receipts.len(), &state, changes, fee)?;
        if let Some((traces, start)) = traces.as_mut().zip(start) {
            let (took, pays_fee) = (start.elapsed(), deferred_fee.is_some());
            let trace = TransactionTrace::of(index, &state, &balances, &evm.db_mut().take_met());
            traces.push(TransactionTrace { gas_used, took, pays_fee, ..trace });
        }
        vm.recycle(&mut evm, state);
        receipts.push(receipt);
    }

    evm.db_mut().pay_fees()?;
    let post_block = vm.post_block(&mut evm, block, &receipts);
    let requests = step::end::<V, S, _>(&mut evm, post_block)?;
    sinks.step(CommitStep::PostBlock, evm.db_mut().take_commits())?;

    let executions = receipts.len() as u64;
    let output = BlockOutput {
        receipts,
        state: evm.into_db().diff(),
        requests,
        gas_used: admission.gas.used(&rules),
        blob_gas_used: admission.gas.blob(),
        access_list: sinks.finish()?,
        work: WorkCounts {
            executions,
            most_executions: executions.min(1),
            width: 1,
            ..WorkCounts::default()
        },
    };
    Ok(Finished { output, end, building: admission.building })
}

//! One transaction after the other: what the parallel path must equal, and what it must beat.

mod overlay;

use alloy_evm::{Evm, EvmError, EvmFactory, block::BlockExecutionError};
use warpline_primitives::{BlockOutput, CommitStep, StateSource, WorkCounts};

pub(crate) use overlay::Overlay;

use crate::{
    EngineBug, ExecutionError, InvalidBlock,
    commit::{BlockGas, Sinks},
    execute::{Job, Outcome},
    vm::{BlockVm, EvmOf, Transacted, diff_of},
};

/// Executes the block on the calling thread.
pub(crate) fn execute<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    mut sinks: Sinks<'_>,
) -> Outcome<V, S> {
    let Job { vm, block, source, env, rules, codes, .. } = job;
    let db = Overlay::new(source, codes, &rules, sinks.follow_fees());
    let mut evm = vm.factory().create_evm(db, env.clone());
    let mut gas = BlockGas::default();
    let mut receipts = Vec::with_capacity(block.transactions.len());

    let pre_block = vm.pre_block(&mut evm, block);
    end_step::<V, S, _>(&mut evm, pre_block)?;
    sinks.step(CommitStep::PreBlock, evm.db_mut().take_commits())?;

    for (index, tx) in block.transactions.iter().enumerate() {
        job.check_cancelled()?;
        gas.check(index, tx.inner(), &rules)?;
        let env = vm.tx_env(tx);
        let Transacted { result, state, deferred_fee } = match vm.transact(&mut evm, env) {
            Ok(transacted) => transacted,
            Err(error) => {
                if let Some(error) = evm.db_mut().take_failure() {
                    return Err(ExecutionError::StateRead(error));
                }
                return Err(match error.try_into_invalid_tx_err() {
                    Ok(error) => InvalidBlock::Transaction { index, error: Box::new(error) }.into(),
                    Err(error) => EngineBug::Vm { index, error: Box::new(error) }.into(),
                });
            }
        };
        let cumulative = gas.add(result.gas(), tx.inner());
        let mut receipt = vm.receipt(tx, result);
        V::set_cumulative_gas(&mut receipt, cumulative);
        receipts.push(receipt);
        let followed = sinks.follow_fees();
        let fee = evm.db_mut().commit_transaction(&state, deferred_fee, followed)?;
        let changes = sinks.observer.is_some().then(|| diff_of(&state));
        sinks.transaction(index, &state, changes, fee)?;
    }

    evm.db_mut().pay_fees()?;
    let post_block = vm.post_block(&mut evm, block, &receipts);
    let requests = end_step::<V, S, _>(&mut evm, post_block)?;
    sinks.step(CommitStep::PostBlock, evm.db_mut().take_commits())?;

    let executions = block.transactions.len() as u64;
    Ok(BlockOutput {
        receipts,
        state: evm.into_db().into_diff(),
        requests,
        gas_used: gas.used(&rules),
        blob_gas_used: gas.blob(),
        access_list: sinks.finish()?,
        work: WorkCounts { executions, width: 1, ..WorkCounts::default() },
    })
}

/// The outcome of a step: a failed read is reported as such, whatever the step made of it.
pub(crate) fn end_step<'s, V: BlockVm, S: StateSource, T>(
    evm: &mut EvmOf<V, Overlay<'s, S>>,
    result: Result<T, BlockExecutionError>,
) -> Result<T, ExecutionError<S::Error>> {
    if let Some(error) = evm.db_mut().take_failure() {
        return Err(ExecutionError::StateRead(error));
    }
    result.map_err(|error| InvalidBlock::System(error).into())
}

//! What is said of each transaction of a block.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeSet, time::Duration};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U256};
use warpline_engine::{
    ActivityLog, BalanceUse, Engine, EngineConfig, Ethereum, ExecuteOptions, Function, Strategy,
    TransactionTrace,
};
use warpline_testkit::{Asm, Case, Fork, Tx, account, op};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

fn traced(workload: Workload, transactions: usize) -> (GeneratedBlock, Vec<TransactionTrace>) {
    let generated = generate(workload, Size::Transactions(transactions), 42);
    let vm = Ethereum::new(generated.chain.clone());
    let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
    let (output, traces) = engine.trace(&generated.block, &generated.state).unwrap();
    let plain =
        engine.execute_with(&generated.block, &generated.state, Strategy::Sequential).unwrap();
    plain.compare(&output).unwrap();
    (generated, traces)
}

#[test]
fn traces_add_up_to_the_block() {
    for workload in Workload::ALL {
        let (generated, traces) = traced(workload, 30);
        assert_eq!(traces.len(), 30);
        let mut slots = BTreeSet::new();
        for (index, trace) in traces.iter().enumerate() {
            assert_eq!(trace.index, index);
            assert!(trace.pays_fee && !trace.took.is_zero());
            let sender = generated.block.transactions[index].signer();
            let sender = trace.accounts.iter().find(|it| it.address == sender).unwrap();
            assert!(sender.changes_balance() && sender.changes_more, "it pays gas and has a nonce");
            slots
                .extend(trace.slots.iter().filter(|it| it.changes).map(|it| (it.address, it.slot)));
            for first in trace.slots.iter().map(|it| it.first) {
                assert!(first.time <= trace.took, "{workload}: {first:?}");
                let limit = generated.block.transactions[index].gas_limit();
                assert!(first.gas > 21_000 && first.gas < limit, "{workload}: {first:?}");
                assert!(first.function.is_some());
            }
        }
        let engine =
            Engine::new(Ethereum::new(generated.chain.clone()), EngineConfig::with_threads(1));
        let output = engine.unwrap().execute(&generated.block, &generated.state).unwrap();
        // Whatever the block changes one of its transactions did, but for system contracts.
        let met = |address| slots.iter().any(|(contract, _)| contract == address);
        for (address, diff) in output.state.accounts().filter(|(address, _)| met(*address)) {
            for (slot, _) in diff.storage.iter() {
                assert!(slots.contains(&(*address, *slot)), "{workload}: {address} {slot}");
            }
        }
    }
}

#[test]
fn inner_calls_are_told_apart_and_continue_the_count_of_gas() {
    let (generated, traces) = traced(Workload::SwapsIndependent, 1);
    let trace = &traces[0];
    let pool = generated.block.transactions[0].to().unwrap();
    let selectors = |contract: Address| -> BTreeSet<[u8; 4]> {
        let functions = trace.slots.iter().filter(|it| it.address == contract);
        functions.map(|it| it.first.function.unwrap().selector).collect()
    };
    let input = generated.block.transactions[0].input();
    assert_eq!(selectors(pool), BTreeSet::from([input[..4].try_into().unwrap()]));
    let tokens: BTreeSet<Address> = trace.slots.iter().map(|it| it.address).collect();
    assert_eq!(tokens.len(), 3, "the pool and its two tokens");
    for slot in &trace.slots {
        assert_eq!(slot.first.function.unwrap().contract, slot.address);
    }
    let transfer_from = [0x23, 0xb8, 0x72, 0xdd];
    let called: BTreeSet<_> = tokens.iter().flat_map(|token| selectors(*token)).collect();
    assert!(called.contains(&transfer_from), "{called:x?}");
    let first_of = |contract: Address| {
        let of = trace.slots.iter().filter(|it| it.address == contract);
        of.map(|it| it.first.gas).min().unwrap()
    };
    for token in tokens.iter().filter(|token| **token != pool) {
        assert!(first_of(*token) > first_of(pool), "the pool is entered first");
    }
    // In the order of gas it is in the order of time.
    let mut by_gas: Vec<_> = trace.slots.iter().map(|it| (it.first.gas, it.first.time)).collect();
    by_gas.sort_unstable();
    assert!(by_gas.is_sorted_by_key(|(_, time)| *time), "{by_gas:?}");
    assert!(by_gas.last().unwrap().0 < trace.gas_used + 50_000);
}

#[test]
fn a_payment_needs_a_balance_no_more_than_it_must() {
    let (generated, traces) = traced(Workload::TransfersHot, 3);
    let recipient = generated.block.transactions[0].to().unwrap();
    for trace in traces {
        let paid = trace.accounts.iter().find(|it| it.address == recipient).unwrap();
        assert_eq!(paid.balance, BalanceUse::AtLeast(U256::ONE), "emptiness matters");
        assert!(paid.changes_balance() && !paid.changes_more && paid.first.function.is_none());
        assert!(trace.slots.is_empty());
    }
}

#[test]
fn of_what_the_workers_did_one_execution_of_each_transaction_counts() {
    for (workload, threads) in [
        (Workload::TransfersIndependent, 2),
        (Workload::SwapsHot, 3),
        (Workload::NftMint, 2),
        (Workload::Mixed, 4),
    ] {
        let generated = generate(workload, Size::Transactions(150), 42);
        let vm = Ethereum::new(generated.chain.clone());
        let engine = Engine::new(vm, EngineConfig::with_threads(threads)).unwrap();
        let log = ActivityLog::default();
        let options = ExecuteOptions::from(Strategy::Parallel(threads)).logged_to(&log);
        let output = engine.execute_with(&generated.block, &generated.state, options).unwrap();
        let activities = log.into_activities();
        assert_eq!(activities.len() as u64, output.work.executions, "{workload}");
        let mut counted = vec![0; 150];
        let mut gas = 0;
        let mut until = vec![Duration::ZERO; threads];
        for activity in &activities {
            assert!(activity.start <= activity.end);
            assert!(until[activity.worker] <= activity.start, "one after the other");
            until[activity.worker] = activity.end;
            if activity.counts {
                counted[activity.transaction] += 1;
                gas += activity.gas_used.unwrap();
            }
        }
        assert_eq!(counted, [1; 150], "{workload}");
        assert_eq!(gas, output.gas_used, "{workload}");
    }
}

#[test]
fn a_call_that_passes_nothing_on_has_no_selector() {
    let (sender, caller, called) = (account(1), account(2), account(3));
    // The arguments begin behind the end of the memory, and there are none.
    let call = Asm::new().push(0).push(0).push(0).push(7).push(0).push_address(called);
    let call = call.push(100_000).op(op::CALL).op(op::POP);
    let case = Case::new(Fork::Prague)
        .fund(sender)
        .contract(caller, call)
        .contract(called, Asm::new().push(1).add_to_slot(0))
        .tx(Tx::call(sender, caller));
    let vm = Ethereum::new(case.chain().clone());
    let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
    let (_, traces) = engine.trace(&case.block(), case.state()).unwrap();
    let slot = traces[0].slots.iter().find(|slot| slot.address == called).unwrap();
    let function = Function { contract: called, selector: [0; 4] };
    assert_eq!(slot.first.function, Some(function));
}

//! The programs in `examples` do what they say.

use std::error::Error;

use alloy_primitives::{Address, U256};
use warpline_engine::{BuildEnd, ExecutionError};
use warpline_primitives::StateSource;

macro_rules! example {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[expect(dead_code, reason = "`main` prints what is compared here")]
        pub mod $name;
    };
}

example!(access_list, "../../../examples/access_list.rs");
example!(block_executor, "../../../examples/block_executor.rs");
example!(build_block, "../../../examples/build_block.rs");
example!(custom_chain, "../../../examples/custom_chain.rs");
example!(embed, "../../../examples/embed.rs");
example!(own_database, "../../../examples/own_database.rs");

type Result = std::result::Result<(), Box<dyn Error>>;

#[test]
fn a_block_is_executed_and_applied() -> Result {
    let (state, output) = embed::run()?;
    assert_eq!(output.gas_used, 100 * 21_000);
    let bob = state.account(Address::repeat_byte(0xb0))?;
    assert_eq!(bob.map(|account| account.balance), Some(U256::from(700)));
    Ok(())
}

#[test]
fn a_custom_precompile_is_the_same_in_parallel_and_defers_fees() -> Result {
    let (parallel, sequential) = custom_chain::run()?;
    sequential.compare(&parallel)?;
    assert!(parallel.receipts.iter().all(|receipt| receipt.status()));
    // The callers share nothing but the beneficiary, whose fees are set aside.
    assert_eq!(parallel.work.reexecutions, 0);
    let ledger = parallel.state.account(&custom_chain::LEDGER).expect("the ledger changed");
    for index in 0..50 {
        let slot = U256::from_be_slice(custom_chain::sender_at(index).as_slice());
        assert_eq!(ledger.storage.get(&slot), Some(&U256::from(u64::from(index) + 1_000)));
    }
    let treasury = parallel.state.account(&Address::repeat_byte(0x77));
    let treasury = treasury.and_then(|it| it.account).expect("the subsidy was paid");
    assert_eq!(treasury.balance, U256::from(1_000));
    Ok(())
}

#[test]
fn a_damaged_record_is_a_failed_read() -> Result {
    let (table, failure) = own_database::run()?;
    let alice = table.account(own_database::ALICE)?.expect("Alice is there");
    assert_eq!((alice.balance, alice.nonce), (U256::from(86), 2));
    let key = own_database::account_key(own_database::BOB);
    assert!(matches!(
        failure,
        ExecutionError::StateRead(own_database::TableError::Damaged(damaged)) if damaged == key
    ));
    Ok(())
}

#[test]
fn blocks_are_built_within_bounds() -> Result {
    let built = build_block::run()?;
    assert_eq!(built.all.included, [0, 1, 4, 5]);
    assert_eq!(built.all.end, BuildEnd::NoMoreCandidates);
    assert_eq!(built.all.output.gas_used, built.executed_gas);
    let skipped: Vec<_> = built.all.skipped.iter().map(|skipped| skipped.index).collect();
    assert_eq!(skipped, [2, 3]);
    assert_eq!(built.bounded.included, [0, 1]);
    assert_eq!(built.bounded.end, BuildEnd::Full);
    assert_eq!(built.cancelled.included, [0]);
    assert_eq!(built.cancelled.end, BuildEnd::Cancelled);
    Ok(())
}

#[test]
fn a_block_is_executed_from_its_list_and_a_wrong_list_rejected() -> Result {
    let (output, lie) = access_list::run()?;
    assert_eq!(output.gas_used, 49 * 21_000);
    assert_eq!(output.work.reexecutions, 0);
    assert!(lie.to_string().contains("access list"), "{lie}");
    Ok(())
}

#[test]
fn the_block_executor_gives_what_alloy_evms_gives() -> Result {
    let ((theirs, their_bundle), (ours, our_bundle)) = block_executor::run()?;
    assert_eq!(theirs, ours);
    warpline_testkit::assert_same_bundle(&their_bundle, &our_bundle, &"the example");
    Ok(())
}

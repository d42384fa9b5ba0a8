//! Body rules: a block with one transaction or withdrawal, and what each fork says about it.

use alloy_consensus::{
    EMPTY_ROOT_HASH, Header, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxLegacy, TxType, proofs,
    transaction::{Recovered, RlpEcdsaEncodableTx},
};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B256, Signature};
use warpline_chain::{BodyError, ChainSpec, EthereumHardfork, MAX_BLOCK_RLP_LEN};
use warpline_primitives::{RecoveredBlock, Transaction};

const BLOB: u64 = 131_072;

fn signed<T>(transaction: T) -> Transaction
where
    T: SignableTransaction<Signature> + RlpEcdsaEncodableTx,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    transaction.into_signed(Signature::test_signature()).into()
}

fn legacy(chain_id: Option<u64>) -> Transaction {
    signed(TxLegacy { chain_id, ..TxLegacy::default() })
}

fn with_blobs(blobs: usize) -> Transaction {
    let blob_versioned_hashes = vec![B256::repeat_byte(1); blobs];
    signed(TxEip4844 { chain_id: 1, blob_versioned_hashes, ..TxEip4844::default() })
}

/// A block of these transactions whose header agrees with them.
fn block(fork: EthereumHardfork, transactions: Vec<Transaction>) -> (ChainSpec, RecoveredBlock) {
    let spec = ChainSpec::at_fork(fork, 1);
    let blobs = |transaction: &Transaction| {
        alloy_consensus::Transaction::blob_count(transaction).unwrap_or_default()
    };
    let shanghai = fork >= EthereumHardfork::Shanghai;
    let header = Header {
        number: 1,
        timestamp: 12,
        transactions_root: proofs::calculate_transaction_root(&transactions),
        withdrawals_root: shanghai.then_some(EMPTY_ROOT_HASH),
        blob_gas_used: (fork >= EthereumHardfork::Cancun)
            .then(|| transactions.iter().map(blobs).sum::<u64>() * BLOB),
        ..Header::default()
    };
    let recovered = |transaction| Recovered::new_unchecked(transaction, Address::ZERO);
    let block = RecoveredBlock {
        hash: header.hash_slow(),
        header,
        transactions: transactions.into_iter().map(recovered).collect(),
        ommers: Vec::new(),
        withdrawals: shanghai.then(Withdrawals::default),
    };
    (spec, block)
}

fn check(fork: EthereumHardfork, transactions: Vec<Transaction>) -> Result<(), BodyError> {
    let (spec, block) = block(fork, transactions);
    spec.validate_body(&block, None)
}

#[test]
fn each_type_begins_with_its_fork() {
    use EthereumHardfork::{Amsterdam, Berlin, Cancun, London, Prague};
    let rows: [(Transaction, EthereumHardfork, TxType); 4] = [
        (signed(TxEip2930 { chain_id: 1, ..TxEip2930::default() }), Berlin, TxType::Eip2930),
        (signed(TxEip1559 { chain_id: 1, ..TxEip1559::default() }), London, TxType::Eip1559),
        (with_blobs(1), Cancun, TxType::Eip4844),
        (signed(TxEip7702 { chain_id: 1, ..TxEip7702::default() }), Prague, TxType::Eip7702),
    ];
    let forks = EthereumHardfork::VARIANTS.iter().filter(|fork| **fork <= Amsterdam);
    for fork in forks {
        for (transaction, since, found) in &rows {
            let checked = check(*fork, vec![transaction.clone()]);
            let index = 0;
            let early = BodyError::TransactionType { index, fork: *since, found: *found };
            let expected = if fork < since { Err(early) } else { Ok(()) };
            assert_eq!(checked, expected, "{fork}");
        }
        assert_eq!(check(*fork, vec![legacy(None)]), Ok(()));
    }
}

#[test]
fn replay_protection_begins_with_spurious_dragon() {
    use EthereumHardfork::{SpuriousDragon, Tangerine};
    let protected = vec![legacy(None), legacy(Some(1))];
    assert_eq!(check(SpuriousDragon, protected.clone()), Ok(()));
    assert_eq!(check(Tangerine, protected), Err(BodyError::ReplayProtected { index: 1 }));
    let foreign = vec![legacy(Some(5))];
    let (index, expected, found) = (0, 1, 5);
    let error = BodyError::ChainId { index, expected, found };
    assert_eq!(check(SpuriousDragon, foreign), Err(error));
}

#[test]
fn blob_gas_is_that_of_the_header_and_bounded() {
    use EthereumHardfork::{Cancun, Prague};
    let nine = || vec![with_blobs(5), with_blobs(4)];
    assert_eq!(check(Prague, nine()), Ok(()));
    let error = BodyError::BlobGasLimit { max: 6 * BLOB, found: 9 * BLOB };
    assert_eq!(check(Cancun, nine()), Err(error));
    let (spec, mut block) = block(Cancun, vec![with_blobs(2)]);
    block.header.blob_gas_used = Some(3 * BLOB);
    let error = BodyError::BlobGasUsed { expected: 3 * BLOB, found: 2 * BLOB };
    assert_eq!(spec.validate_body(&block, None), Err(error));
}

#[test]
fn roots_are_those_of_the_header() {
    let (spec, valid) = block(EthereumHardfork::Cancun, vec![legacy(Some(1))]);
    let check = |change: fn(&mut RecoveredBlock)| {
        let mut block = valid.clone();
        change(&mut block);
        assert_eq!(spec.validate_transactions(&block), Ok(()), "only roots are wrong");
        spec.validate_body(&block, None).unwrap_err()
    };
    let error = check(|block| block.transactions.push(block.transactions[0].clone()));
    assert!(matches!(error, BodyError::TransactionsRoot { .. }));
    let error = check(|block| block.ommers.push(Header::default()));
    assert!(matches!(error, BodyError::OmmersHash { .. }));
    let error = check(|block| block.withdrawals = None);
    assert_eq!(error, BodyError::Withdrawals { expected: true, found: false });
    let error = check(|block| {
        block.withdrawals = Some(vec![Withdrawal::default()].into());
    });
    assert!(matches!(error, BodyError::WithdrawalsRoot { expected: Some(EMPTY_ROOT_HASH), .. }));
    let (spec, mut block) = block(EthereumHardfork::Paris, Vec::new());
    block.withdrawals = Some(Withdrawals::default());
    let error = BodyError::Withdrawals { expected: false, found: true };
    assert_eq!(spec.validate_roots(&block), Err(error));
}

#[test]
fn blocks_are_bounded_from_osaka_on() {
    use EthereumHardfork::{Osaka, Prague};
    let (max, found) = (MAX_BLOCK_RLP_LEN, MAX_BLOCK_RLP_LEN + 1);
    let (spec, osaka) = block(Osaka, Vec::new());
    assert_eq!(max, 8_388_608);
    assert_eq!(spec.validate_body(&osaka, Some(max)), Ok(()));
    let error = BodyError::BlockSize { max, found };
    assert_eq!(spec.validate_body(&osaka, Some(found)), Err(error));
    let (spec, prague) = block(Prague, Vec::new());
    assert_eq!(spec.validate_body(&prague, Some(found)), Ok(()));
}

//! A call as a transaction in a block.

use alloy_consensus::{Signed, TxEip1559, TxEip4844, TxEip7702, TxLegacy, transaction::Recovered};
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use revm::context::{TransactionType, TxEnv};
use warpline_primitives::Transaction;

/// The transaction that `tx` executes, with a signature of zeros.
pub(super) fn unsigned(tx: &TxEnv) -> Recovered<Transaction> {
    let chain_id = tx.chain_id.unwrap_or_default();
    let max_priority_fee_per_gas = tx.gas_priority_fee.unwrap_or_default();
    let TxEnv { nonce, gas_limit, value, kind, gas_price, .. } = *tx;
    let (input, access_list) = (tx.data.clone(), tx.access_list.clone());
    // The kinds that have no creations were refused for such.
    let to = kind.to().copied().unwrap_or(Address::ZERO);
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let transaction = match TransactionType::from(tx.tx_type) {
        TransactionType::Eip7702 => {
            let authorization_list =
                tx.authorization_list.iter().filter_map(|it| it.as_ref().left().cloned()).collect();
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: gas_price,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                authorization_list,
                input,
            };
            Signed::new_unhashed(tx, signature).into()
        }
        TransactionType::Eip4844 => {
            let tx = TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: gas_price,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                blob_versioned_hashes: tx.blob_hashes.clone(),
                max_fee_per_blob_gas: tx.max_fee_per_blob_gas,
                input,
            };
            Signed::new_unhashed(tx, signature).into()
        }
        TransactionType::Eip1559 => {
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas: gas_price,
                max_priority_fee_per_gas,
                to: kind,
                value,
                access_list,
                input,
            };
            Signed::new_unhashed(tx, signature).into()
        }
        // Who names a price by its old name gets a transaction of the old kind, access list or not.
        _ => {
            let tx =
                TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to: kind, value, input };
            Signed::new_unhashed(tx, signature).into()
        }
    };
    Recovered::new_unchecked(transaction, tx.caller)
}

/// The hash that Geth gives the transaction that `tx` executes, which nobody has signed.
pub(crate) fn unsigned_hash(tx: &TxEnv) -> B256 {
    if TransactionType::from(tx.tx_type) != TransactionType::Legacy {
        return *unsigned(tx).inner().tx_hash();
    }
    // Nobody can have signed with zero only, so alloy has no such signature.
    let none = 0u8;
    let fields: [&dyn Encodable; 9] = [
        &tx.nonce,
        &tx.gas_price,
        &tx.gas_limit,
        &tx.kind,
        &tx.value,
        &tx.data,
        &none,
        &none,
        &none,
    ];
    let mut rlp = Vec::new();
    let payload_length = fields.iter().map(|field| field.length()).sum();
    Header { list: true, payload_length }.encode(&mut rlp);
    fields.iter().for_each(|field| field.encode(&mut rlp));
    keccak256(rlp)
}

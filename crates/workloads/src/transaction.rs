//! Transactions, truly signed or with a placeholder where a signature.
//!
//! Signing takes some 50 microseconds, which is nothing for the default blocks and seconds for a
//! gigagas of transfers. Execution never looks at signatures, since senders come along recovered,
//! so generated blocks do without: see [`unsigned`].

use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559,
    crypto::secp256k1::{recover_signer, sign_message},
    transaction::{Recovered, RlpEcdsaEncodableTx},
};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall;
use warpline_primitives::Transaction;

/// One gwei in wei.
pub(crate) const GWEI: u128 = 1_000_000_000;
/// The most a generated transaction pays for a unit of gas, in wei: far above any base fee here.
pub(crate) const MAX_FEE: u128 = 100 * GWEI;

/// What a transaction does, apart from who sends it and what it pays for gas.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: Bytes,
    pub(crate) gas_limit: u64,
}

/// A key pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    secret: B256,
    pub(crate) address: Address,
}

impl Call {
    /// A plain transfer.
    pub(crate) const fn pay(to: Address, value: U256) -> Self {
        Self { to: TxKind::Call(to), value, input: Bytes::new(), gas_limit: 21_000 }
    }

    /// A contract call without value.
    pub(crate) const fn contract(to: Address, input: Bytes, gas_limit: u64) -> Self {
        Self { to: TxKind::Call(to), value: U256::ZERO, input, gas_limit }
    }

    /// A call of a contract's function without value.
    pub(crate) fn function(to: Address, function: &impl SolCall, gas_limit: u64) -> Self {
        Self::contract(to, function.abi_encode().into(), gas_limit)
    }

    /// The call as an EIP-1559 transaction.
    pub(crate) fn eip1559(self, chain_id: u64, nonce: u64, tip: u128) -> TxEip1559 {
        TxEip1559 {
            chain_id,
            nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: tip,
            to: self.to,
            value: self.value,
            access_list: Default::default(),
            input: self.input,
        }
    }
}

impl Key {
    /// # Panics
    /// When `secret` is zero or not below the order of the curve.
    pub(crate) fn new(secret: B256) -> Self {
        // Recovering the signer is a detour, but needs no second curve library.
        let signature = sign_message(secret, secret).expect("the secret is a valid scalar");
        let address = recover_signer(&signature, secret).expect("the signature was just made");
        Self { secret, address }
    }

    /// Signs a transaction of any type.
    pub(crate) fn sign<T>(&self, transaction: T) -> Recovered<Transaction>
    where
        T: SignableTransaction<Signature> + RlpEcdsaEncodableTx,
        Transaction: From<Signed<T>>,
    {
        let signature = self.sign_hash(transaction.signature_hash());
        Recovered::new_unchecked(transaction.into_signed(signature).into(), self.address)
    }

    /// Signs an authorization to run another account's code (EIP-7702).
    pub(crate) fn authorize(&self, authorization: Authorization) -> SignedAuthorization {
        let signature = self.sign_hash(authorization.signature_hash());
        authorization.into_signed(signature)
    }

    fn sign_hash(&self, hash: B256) -> Signature {
        sign_message(self.secret, hash).expect("the secret was checked when the key was made")
    }
}

/// A transaction with a placeholder for a signature: `r` is the sender's address and `s` is one.
///
/// That is well formed and different for every sender, so that no two transactions of a block have
/// one hash, but recovering the sender from it fails or gives another address.
pub(crate) fn unsigned(transaction: TxEip1559, sender: Address) -> Recovered<Transaction> {
    let placeholder = Signature::new(sender.into_word().into(), U256::ONE, false);
    let signed = Signed::new_unhashed(transaction, placeholder);
    Recovered::new_unchecked(Transaction::Eip1559(signed), sender)
}

#[cfg(test)]
mod tests {
    use alloy_consensus::transaction::SignerRecoverable as _;

    use super::*;
    use crate::random::labelled;

    #[test]
    fn a_signature_gives_the_sender_back_and_a_placeholder_does_not() {
        let key = Key::new(labelled("test", 0));
        let call = || Call::pay(Address::repeat_byte(1), U256::ONE).eip1559(1, 0, GWEI);
        let signed = key.sign(call());
        assert_eq!(signed.inner().recover_signer().unwrap(), key.address);
        let unsigned = unsigned(call(), key.address);
        assert_ne!(unsigned.inner().recover_signer().ok(), Some(key.address));
        assert_ne!(signed.tx_hash(), unsigned.tx_hash());
    }
}

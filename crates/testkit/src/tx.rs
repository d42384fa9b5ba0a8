//! Transactions, told from the sender's point of view.

use alloy_consensus::{
    SignableTransaction as _, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy,
    crypto::secp256k1::{recover_signer, sign_message},
    transaction::Recovered,
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use warpline_primitives::Transaction;

use crate::case::{CHAIN_ID, GAS_PRICE, TIP};

/// A transaction. Its type follows from what it has: authorizations, blobs, a fee cap, an access
/// list, in this order; else it is a legacy one. What is not said has a harmless default, and the
/// nonce is the next one of the sender.
#[derive(Clone, Debug)]
pub struct Tx {
    pub(crate) from: Address,
    to: TxKind,
    value: U256,
    data: Bytes,
    pub(crate) gas: u64,
    pub(crate) nonce: Option<u64>,
    price: u128,
    /// Fee cap and tip of EIP-1559.
    fees: Option<(u128, u128)>,
    access_list: Option<AccessList>,
    blobs: u8,
    max_blob_fee: u128,
    authorizations: Vec<SignedAuthorization>,
}

impl Tx {
    /// A payment that nothing else comes with.
    pub fn pay(from: Address, to: Address, value: u64) -> Self {
        Self::new(from, TxKind::Call(to)).value(U256::from(value)).gas(21_000)
    }

    /// A call with plenty of gas.
    pub fn call(from: Address, to: Address) -> Self {
        Self::new(from, TxKind::Call(to))
    }

    /// A contract creation with plenty of gas.
    pub fn create(from: Address, init: impl Into<Bytes>) -> Self {
        Self::new(from, TxKind::Create).data(init)
    }

    fn new(from: Address, to: TxKind) -> Self {
        Self {
            from,
            to,
            value: U256::ZERO,
            data: Bytes::new(),
            gas: 500_000,
            nonce: None,
            price: GAS_PRICE,
            fees: None,
            access_list: None,
            blobs: 0,
            max_blob_fee: 1_000,
            authorizations: Vec::new(),
        }
    }

    /// Wei sent along.
    #[must_use]
    pub fn value(mut self, value: U256) -> Self {
        self.value = value;
        self
    }

    /// The call data or init code.
    #[must_use]
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.data = data.into();
        self
    }

    /// The call data as 32-byte words.
    #[must_use]
    pub fn args(self, words: &[u64]) -> Self {
        let word = |word: &u64| U256::from(*word).to_be_bytes::<32>();
        self.data(words.iter().flat_map(word).collect::<Vec<_>>())
    }

    /// The gas limit.
    #[must_use]
    pub fn gas(mut self, gas: u64) -> Self {
        self.gas = gas;
        self
    }

    /// Another nonce than the sender's next. Transactions that follow count on from it.
    #[must_use]
    pub fn nonce(mut self, nonce: u64) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// The gas price of a legacy or EIP-2930 transaction.
    #[must_use]
    pub fn price(mut self, price: u128) -> Self {
        self.price = price;
        self
    }

    /// Fee cap and tip: an EIP-1559 transaction.
    #[must_use]
    pub fn fees(mut self, cap: u128, tip: u128) -> Self {
        self.fees = Some((cap, tip));
        self
    }

    /// An entry of the access list (EIP-2930).
    #[must_use]
    pub fn access(mut self, address: Address, slots: &[u64]) -> Self {
        let storage_keys = slots.iter().map(|slot| B256::from(U256::from(*slot))).collect();
        let list = self.access_list.get_or_insert_default();
        list.0.push(AccessListItem { address, storage_keys });
        self
    }

    /// So many blobs (EIP-4844).
    #[must_use]
    pub fn blobs(mut self, count: u8) -> Self {
        self.blobs = count;
        self
    }

    /// The most paid for a unit of blob gas.
    #[must_use]
    pub fn max_blob_fee(mut self, fee: u128) -> Self {
        self.max_blob_fee = fee;
        self
    }

    /// An authorization (EIP-7702).
    #[must_use]
    pub fn authorize(mut self, authorization: SignedAuthorization) -> Self {
        self.authorizations.push(authorization);
        self
    }

    /// Whom the transaction calls, or `None` for a creation.
    pub(crate) const fn recipient(&self) -> Option<Address> {
        match self.to {
            TxKind::Call(to) => Some(to),
            TxKind::Create => None,
        }
    }

    pub(crate) fn build(self, nonce: u64) -> Recovered<Transaction> {
        let from = self.from;
        // Never recovered from, but well formed and different for every transaction.
        let signature = Signature::new(from.into_word().into(), U256::from(nonce + 1), false);
        let transaction = self.envelope(nonce, signature);
        Recovered::new_unchecked(transaction, from)
    }

    fn envelope(self, nonce: u64, signature: Signature) -> Transaction {
        let Self { to, value, data: input, gas: gas_limit, price, .. } = self;
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees.unwrap_or((price, TIP));
        let chain_id = CHAIN_ID;
        let called = || to.to().copied().expect("such a transaction creates no contract");
        if !self.authorizations.is_empty() {
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: called(),
                value,
                access_list: self.access_list.unwrap_or_default(),
                authorization_list: self.authorizations,
                input,
            };
            return Signed::new_unhashed(tx, signature).into();
        }
        if self.blobs > 0 {
            let hash = |blob: u8| {
                let mut hash = keccak256([blob]);
                hash.0[0] = 1;
                hash
            };
            let tx = TxEip4844 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: called(),
                value,
                access_list: self.access_list.unwrap_or_default(),
                blob_versioned_hashes: (0..self.blobs).map(hash).collect(),
                max_fee_per_blob_gas: self.max_blob_fee,
                input,
            };
            return Signed::new_unhashed(tx, signature).into();
        }
        if self.fees.is_some() {
            let access_list = self.access_list.unwrap_or_default();
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            };
            return Signed::new_unhashed(tx, signature).into();
        }
        if let Some(access_list) = self.access_list {
            let gas_price = price;
            let tx =
                TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            return Signed::new_unhashed(tx, signature).into();
        }
        let tx = TxLegacy { chain_id: None, nonce, gas_price: price, gas_limit, to, value, input };
        Signed::new_unhashed(tx, signature).into()
    }
}

/// A key pair, for authorizations: those are recovered from a true signature.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    secret: B256,
    /// Its account.
    pub address: Address,
}

impl Key {
    /// The key with this number; zero is none.
    ///
    /// # Panics
    /// When `number` is zero.
    pub fn new(number: u8) -> Self {
        let secret = B256::with_last_byte(number);
        let signature = sign_message(secret, secret).expect("the secret is a valid scalar");
        let address = recover_signer(&signature, secret).expect("the signature was just made");
        Self { secret, address }
    }

    /// The transaction with this key's signature instead of the one it has.
    ///
    /// # Panics
    /// Never: the secret was used before.
    pub fn sign(&self, transaction: Transaction) -> Recovered<Transaction> {
        let hash = match &transaction {
            Transaction::Legacy(signed) => signed.signature_hash(),
            Transaction::Eip2930(signed) => signed.signature_hash(),
            Transaction::Eip1559(signed) => signed.signature_hash(),
            Transaction::Eip4844(signed) => signed.signature_hash(),
            Transaction::Eip7702(signed) => signed.signature_hash(),
        };
        let signature = sign_message(self.secret, hash).expect("the secret is a valid scalar");
        let transaction = match transaction {
            Transaction::Legacy(signed) => signed.strip_signature().into_signed(signature).into(),
            Transaction::Eip2930(signed) => signed.strip_signature().into_signed(signature).into(),
            Transaction::Eip1559(signed) => signed.strip_signature().into_signed(signature).into(),
            Transaction::Eip4844(signed) => signed.strip_signature().into_signed(signature).into(),
            Transaction::Eip7702(signed) => signed.strip_signature().into_signed(signature).into(),
        };
        Recovered::new_unchecked(transaction, self.address)
    }

    /// Authorizes `target`'s code to run in this account, whose nonce is `nonce` by then.
    ///
    /// # Panics
    /// Never: the secret was used before.
    pub fn authorize(&self, target: Address, nonce: u64) -> SignedAuthorization {
        self.authorize_on(CHAIN_ID, target, nonce)
    }

    /// Like [`authorize`](Self::authorize), for another chain; zero is any.
    ///
    /// # Panics
    /// Never: the secret was used before.
    pub fn authorize_on(&self, chain_id: u64, address: Address, nonce: u64) -> SignedAuthorization {
        let authorization = Authorization { chain_id: U256::from(chain_id), address, nonce };
        let hash = authorization.signature_hash();
        let signature = sign_message(self.secret, hash).expect("the secret is a valid scalar");
        authorization.into_signed(signature)
    }
}

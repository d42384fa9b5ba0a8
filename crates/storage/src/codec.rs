//! How values are written. Ethereum's own encodings wherever there is one.

use alloy_consensus::{
    Eip658Value, Header, Receipt as ReceiptBody, ReceiptEnvelope, ReceiptWithBloom, TxReceipt as _,
    TxType, constants::KECCAK_EMPTY,
};
use alloy_eips::{Typed2718 as _, eip4895::Withdrawals};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use alloy_trie::EMPTY_ROOT_HASH;
use warpline_primitives::{Account, Receipt, Transaction};

/// An account and the root of its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    /// What it holds besides its storage.
    pub account: Account,
    /// The root of its storage trie.
    pub storage_root: B256,
}

/// A header with what is known beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHeader {
    /// The header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// The sum of the difficulties up to and including it.
    pub total_difficulty: U256,
}

/// Transactions, ommers and withdrawals as they are stored.
#[derive(Debug, RlpDecodable, RlpEncodable)]
#[rlp(trailing)]
pub(crate) struct StoredBody {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) ommers: Vec<Header>,
    pub(crate) withdrawals: Option<Withdrawals>,
}

/// A receipt without what follows from the rest of it.
#[derive(Debug, RlpDecodable, RlpEncodable)]
struct StoredReceipt {
    tx_type: u8,
    /// One byte for a status, 32 for the state root that stands there before Byzantium.
    outcome: alloy_primitives::Bytes,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
}

/// The bytes are not what was written.
pub(crate) type Malformed = alloy_rlp::Error;

/// The shortest encoding of an account: fields that are as in an account nobody did anything with
/// are empty.
impl StoredAccount {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Account { balance, nonce, code_hash } = self.account;
        let short =
            |hash: B256, usual: B256| if hash == usual { Vec::new() } else { hash.to_vec() };
        let root = short(self.storage_root, EMPTY_ROOT_HASH);
        let code = short(code_hash, KECCAK_EMPTY);
        let mut out = Vec::with_capacity(80);
        let (root, code) = (root.as_slice(), code.as_slice());
        let payload_length = nonce.length() + balance.length() + root.length() + code.length();
        alloy_rlp::Header { list: true, payload_length }.encode(&mut out);
        nonce.encode(&mut out);
        balance.encode(&mut out);
        root.encode(&mut out);
        code.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        let mut fields = alloy_rlp::Header::decode_bytes(&mut rest, true)?;
        let nonce = u64::decode(&mut fields)?;
        let balance = U256::decode(&mut fields)?;
        let storage_root = hash_or(&mut fields, EMPTY_ROOT_HASH)?;
        let code_hash = hash_or(&mut fields, KECCAK_EMPTY)?;
        if !rest.is_empty() || !fields.is_empty() {
            return Err(Malformed::UnexpectedLength);
        }
        Ok(Self { account: Account { balance, nonce, code_hash }, storage_root })
    }
}

fn hash_or(fields: &mut &[u8], usual: B256) -> Result<B256, Malformed> {
    match alloy_rlp::Header::decode_bytes(fields, false)? {
        [] => Ok(usual),
        hash => B256::try_from(hash).map_err(|_| Malformed::UnexpectedLength),
    }
}

impl StoredHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.header.length());
        out.extend_from_slice(self.hash.as_slice());
        out.extend_from_slice(&self.total_difficulty.to_be_bytes::<32>());
        self.header.encode(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (hash, total_difficulty, rlp) = split_header(bytes)?;
        Ok(Self { header: alloy_rlp::decode_exact(rlp)?, hash, total_difficulty })
    }
}

/// Hash, total difficulty and RLP of a stored header.
pub(crate) fn split_header(bytes: &[u8]) -> Result<(B256, U256, &[u8]), Malformed> {
    let (hash, rest) = bytes.split_at_checked(32).ok_or(Malformed::InputTooShort)?;
    let (difficulty, rlp) = rest.split_at_checked(32).ok_or(Malformed::InputTooShort)?;
    Ok((B256::from_slice(hash), U256::from_be_slice(difficulty), rlp))
}

pub(crate) fn encode_senders(senders: impl Iterator<Item = Address>) -> Vec<u8> {
    senders.flat_map(|sender| sender.into_array()).collect()
}

pub(crate) fn decode_senders(bytes: &[u8]) -> Result<Vec<Address>, Malformed> {
    let (senders, rest) = bytes.as_chunks::<20>();
    if !rest.is_empty() {
        return Err(Malformed::UnexpectedLength);
    }
    Ok(senders.iter().map(Address::from).collect())
}

pub(crate) fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let stored: Vec<_> = receipts.iter().map(StoredReceipt::new).collect();
    alloy_rlp::encode(&stored)
}

pub(crate) fn decode_receipts(bytes: &[u8]) -> Result<Vec<Receipt>, Malformed> {
    let stored: Vec<StoredReceipt> = alloy_rlp::decode_exact(bytes)?;
    stored.into_iter().map(StoredReceipt::into_receipt).collect()
}

impl StoredReceipt {
    fn new(receipt: &Receipt) -> Self {
        let outcome = match receipt.status_or_post_state() {
            Eip658Value::Eip658(status) => vec![u8::from(status)],
            Eip658Value::PostState(root) => root.to_vec(),
        };
        Self {
            tx_type: receipt.tx_type().ty(),
            outcome: outcome.into(),
            cumulative_gas_used: receipt.cumulative_gas_used(),
            logs: receipt.logs().to_vec(),
        }
    }

    fn into_receipt(self) -> Result<Receipt, Malformed> {
        let tx_type = TxType::try_from(self.tx_type)
            .map_err(|_| Malformed::Custom("unknown type of transaction"))?;
        let status = match self.outcome.as_ref() {
            [status @ (0 | 1)] => Eip658Value::Eip658(*status == 1),
            root => Eip658Value::PostState(
                B256::try_from(root).map_err(|_| Malformed::UnexpectedLength)?,
            ),
        };
        let Self { cumulative_gas_used, logs, .. } = self;
        let receipt = ReceiptBody { status, cumulative_gas_used, logs };
        let receipt: ReceiptWithBloom<_> = receipt.with_bloom();
        Ok(match tx_type {
            TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
            TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
            TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
            TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
            TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
        })
    }
}

pub(crate) fn encode_slot(value: U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

pub(crate) fn decode_slot(bytes: &[u8]) -> Result<U256, Malformed> {
    U256::try_from_be_slice(bytes).ok_or(Malformed::Overflow)
}

//! What stands in the way in all blocks together.

use std::{collections::BTreeMap, time::Duration};

use alloy_primitives::hex;
use serde::Serialize;

use super::{Names, ms, names::hex_of, ratio};
use crate::{BlockAnalysis, CORES, CORES_OF_CONFLICTS, Cause, Place};

/// Something that makes transactions wait, over all blocks in which it matters most. Times are in
/// milliseconds, speed-ups over one transaction after the other, in those blocks only.
#[derive(Clone, Debug, Serialize)]
pub struct CauseRow {
    /// `slot`, `balance`, `account` (nonce, code or existence), `function` or `contract`.
    pub kind: &'static str,
    /// The account.
    pub address: String,
    /// The slot, of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The selector, of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// What to call it.
    pub name: String,
    /// What to call the account.
    pub contract: String,
    /// In how many blocks.
    pub blocks: usize,
    /// How many transactions saw another's change because of it.
    pub transactions: usize,
    /// Gas that those use.
    pub gas: u64,
    /// The part of it after they looked.
    pub gas_behind: u64,
    /// How long those take.
    pub ms: f64,
    /// The part of it after they looked.
    pub ms_behind: f64,
    /// What there would be to gain on eight cores without it.
    pub gained_ms: f64,
    /// What eight cores reach with perfect knowledge, and what they would without it.
    pub speedup: f64,
    /// See [`speedup`](Self::speedup).
    pub speedup_without: f64,
    /// What any number of cores reaches at most, and what it would without it.
    pub bound: f64,
    /// See [`bound`](Self::bound).
    pub bound_without: f64,
}

/// How many rows of each kind are kept.
const MOST: usize = 25;

/// What is added up over blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    blocks: usize,
    transactions: usize,
    gas: u64,
    gas_behind: u64,
    time: Duration,
    time_behind: Duration,
    total: Duration,
    makespan: Duration,
    makespan_without: Duration,
    critical: Duration,
    critical_without: Duration,
}

/// The causes in all blocks, of each kind those with most to gain first.
pub(super) fn rows(analyses: &[BlockAnalysis<'_>], names: &Names) -> Vec<CauseRow> {
    let mut sums: BTreeMap<Cause, Sum> = BTreeMap::new();
    let eight = CORES.iter().position(|cores| *cores == CORES_OF_CONFLICTS);
    for block in analyses {
        let makespan =
            eight.and_then(|at| block.cores.get(at)).map_or(Duration::ZERO, |it| it.in_order);
        for conflict in &block.conflicts {
            let sum = sums.entry(conflict.cause).or_default();
            sum.blocks += 1;
            sum.transactions += conflict.transactions;
            sum.gas += conflict.gas;
            sum.gas_behind += conflict.gas_behind;
            sum.time += conflict.time;
            sum.time_behind += conflict.time_behind;
            sum.total += block.total();
            sum.makespan += makespan;
            sum.makespan_without += conflict.makespan;
            sum.critical += block.critical.length;
            sum.critical_without += conflict.critical_path;
        }
    }
    let mut rows: Vec<CauseRow> = sums.iter().map(|(cause, sum)| row(cause, sum, names)).collect();
    let by_gain = |one: &CauseRow, other: &CauseRow| {
        one.kind.cmp(other.kind).then(other.gained_ms.total_cmp(&one.gained_ms))
    };
    rows.sort_by(by_gain);
    let mut kept = 0;
    let mut kind = "";
    rows.retain(|row| {
        kept = if row.kind == kind { kept + 1 } else { 1 };
        kind = row.kind;
        kept <= MOST
    });
    rows
}

fn row(cause: &Cause, sum: &Sum, names: &Names) -> CauseRow {
    let (kind, address) = match cause {
        Cause::Place(place) => {
            let kind = match place {
                Place::Balance(_) => "balance",
                Place::Account(_) => "account",
                Place::Slot(..) => "slot",
            };
            (kind, place.account())
        }
        Cause::Function(function) => ("function", function.contract),
        Cause::Contract(address) => ("contract", *address),
    };
    let slot = match cause {
        Cause::Place(Place::Slot(_, slot)) => Some(hex_of(*slot)),
        _ => None,
    };
    let selector = match cause {
        Cause::Function(function) => Some(hex::encode_prefixed(function.selector)),
        _ => None,
    };
    let quicker = |time| ratio(ms(sum.total), ms(time));
    CauseRow {
        kind,
        address: address.to_string(),
        slot,
        selector,
        name: names.cause(cause),
        contract: names.contract(address),
        blocks: sum.blocks,
        transactions: sum.transactions,
        gas: sum.gas,
        gas_behind: sum.gas_behind,
        ms: ms(sum.time),
        ms_behind: ms(sum.time_behind),
        // A schedule in block order can be unlucky: without a dependency it may take longer.
        gained_ms: ms(sum.makespan.saturating_sub(sum.makespan_without)),
        speedup: quicker(sum.makespan),
        speedup_without: quicker(sum.makespan_without),
        bound: quicker(sum.critical),
        bound_without: quicker(sum.critical_without),
    }
}

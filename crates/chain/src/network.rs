//! Chains by the names that test fixtures give them.

use alloy_hardforks::{EthereumHardfork, ForkCondition};
use alloy_primitives::U256;

/// A fixture names a network that is neither a known fork nor a transition between two.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}")]
pub struct UnknownNetwork(pub Box<str>);

/// A fork's usual name.
pub(crate) const fn fork_name(fork: EthereumHardfork) -> &'static str {
    match fork {
        EthereumHardfork::Dao => "DAO",
        EthereumHardfork::Tangerine => "Tangerine Whistle",
        EthereumHardfork::SpuriousDragon => "Spurious Dragon",
        EthereumHardfork::MuirGlacier => "Muir Glacier",
        EthereumHardfork::ArrowGlacier => "Arrow Glacier",
        EthereumHardfork::GrayGlacier => "Gray Glacier",
        EthereumHardfork::Bpo1 => "BPO1",
        EthereumHardfork::Bpo2 => "BPO2",
        EthereumHardfork::Bpo3 => "BPO3",
        EthereumHardfork::Bpo4 => "BPO4",
        EthereumHardfork::Bpo5 => "BPO5",
        _ => fork.name(),
    }
}

/// The fork a fixture means by `name`.
fn fork_by_name(name: &str) -> Option<EthereumHardfork> {
    match name {
        "EIP150" | "TangerineWhistle" => Some(EthereumHardfork::Tangerine),
        "EIP158" => Some(EthereumHardfork::SpuriousDragon),
        "ConstantinopleFix" => Some(EthereumHardfork::Petersburg),
        "DAOFork" => Some(EthereumHardfork::Dao),
        "Merge" => Some(EthereumHardfork::Paris),
        "BPO1" | "BPO2" | "BPO3" | "BPO4" | "BPO5" => name.parse().ok(),
        "Bogota" => None,
        // Parsing ignores case, but fixtures spell every other fork as this library does.
        _ => name.parse().ok().filter(|fork: &EthereumHardfork| fork.name() == name),
    }
}

/// All forks up to `last`, but the DAO's, active from the first block.
pub(crate) fn forks_from_genesis(
    last: EthereumHardfork,
) -> impl Iterator<Item = (EthereumHardfork, ForkCondition)> {
    forks_between(None, last).map(|fork| {
        let condition = match fork {
            EthereumHardfork::Paris => merge_at(0, U256::ZERO),
            fork if fork < EthereumHardfork::Paris => ForkCondition::ZERO_BLOCK,
            _ => ForkCondition::ZERO_TIMESTAMP,
        };
        (fork, condition)
    })
}

/// The forks of the network `name`, or `None` where it means nothing here.
pub(crate) fn forks_of(name: &str) -> Option<Vec<(EthereumHardfork, ForkCondition)>> {
    let Some((first, rest)) = name.split_once("To") else {
        return Some(forks_from_genesis(fork_by_name(name)?).collect());
    };
    let (last, at) = rest.split_once("At")?;
    let (first, last) = (fork_by_name(first)?, fork_by_name(last)?);
    let at = condition(last, at)?;
    if last <= first {
        return None;
    }
    let mut forks: Vec<_> = forks_from_genesis(first).collect();
    if at.is_ttd() {
        // The glaciers between proof-of-work forks do not begin with the merge.
        forks.push((last, at));
    } else if last == EthereumHardfork::Dao {
        forks.push((last, at));
    } else {
        forks.extend(forks_between(Some(first), last).map(|fork| (fork, at)));
    }
    Some(forks)
}

/// When `fork` begins by the end of a transition's name: `5`, `Time15k` or `DiffC0000`. The kind
/// must be the one the fork has.
fn condition(fork: EthereumHardfork, at: &str) -> Option<ForkCondition> {
    if let Some(time) = at.strip_prefix("Time") {
        let (digits, unit) = time.strip_suffix('k').map_or((time, 1), |digits| (digits, 1000));
        let timestamp = digits.parse::<u64>().ok()?.checked_mul(unit)?;
        return (fork > EthereumHardfork::Paris).then_some(ForkCondition::Timestamp(timestamp));
    }
    if let Some(difficulty) = at.strip_prefix("Diff") {
        let terminal = U256::from_str_radix(difficulty, 16).ok()?;
        return (fork == EthereumHardfork::Paris).then(|| merge_at(u64::MAX, terminal));
    }
    let number = at.parse().ok()?;
    (fork < EthereumHardfork::Paris).then_some(ForkCondition::Block(number))
}

/// The forks after `first` up to `last`, without the DAO's.
fn forks_between(
    first: Option<EthereumHardfork>,
    last: EthereumHardfork,
) -> impl Iterator<Item = EthereumHardfork> {
    let forks = EthereumHardfork::VARIANTS.iter().copied();
    forks.filter(move |fork| {
        *fork != EthereumHardfork::Dao
            && Some(*fork) > first
            && *fork <= last.min(EthereumHardfork::Amsterdam)
    })
}

const fn merge_at(block: u64, total_difficulty: U256) -> ForkCondition {
    ForkCondition::TTD { activation_block_number: block, fork_block: None, total_difficulty }
}

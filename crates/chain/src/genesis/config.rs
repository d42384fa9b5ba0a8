//! The `config` of a genesis file: which forks a chain has, and when.

use std::num::NonZeroU64;

use alloy_primitives::U256;

use super::{GenesisError, MemberProblem, json::Object};
use crate::{
    BlobCounts, BlobSchedule, ChainSpec, EthereumHardfork, ForkCondition, spec::UNRESOLVED_MERGE,
};

/// A member of `config` that says when something begins.
struct Member {
    name: &'static str,
    /// The fork that begins. `None` for what is no fork of its own: EIP-155 is part of Spurious Dragon, and
    /// the netsplit only tells nodes apart.
    fork: Option<EthereumHardfork>,
    /// Whether it may be left out although later ones are there: it changes no rules that they build on.
    optional: bool,
}

const fn required(name: &'static str, fork: EthereumHardfork) -> Member {
    Member { name, fork: Some(fork), optional: false }
}

const fn optional(name: &'static str, fork: EthereumHardfork) -> Member {
    Member { name, fork: Some(fork), optional: true }
}

/// What begins at a block, in the order in which it must.
const BY_BLOCK: [Member; 15] = [
    required("homesteadBlock", EthereumHardfork::Homestead),
    optional("daoForkBlock", EthereumHardfork::Dao),
    required("eip150Block", EthereumHardfork::Tangerine),
    Member { name: "eip155Block", fork: None, optional: false },
    required("eip158Block", EthereumHardfork::SpuriousDragon),
    required("byzantiumBlock", EthereumHardfork::Byzantium),
    required("constantinopleBlock", EthereumHardfork::Constantinople),
    required("petersburgBlock", EthereumHardfork::Petersburg),
    required("istanbulBlock", EthereumHardfork::Istanbul),
    optional("muirGlacierBlock", EthereumHardfork::MuirGlacier),
    required("berlinBlock", EthereumHardfork::Berlin),
    required("londonBlock", EthereumHardfork::London),
    optional("arrowGlacierBlock", EthereumHardfork::ArrowGlacier),
    optional("grayGlacierBlock", EthereumHardfork::GrayGlacier),
    Member { name: "mergeNetsplitBlock", fork: None, optional: true },
];

/// What begins at a time, in the order in which it must.
const BY_TIME: [Member; 10] = [
    required("shanghaiTime", EthereumHardfork::Shanghai),
    required("cancunTime", EthereumHardfork::Cancun),
    required("pragueTime", EthereumHardfork::Prague),
    required("osakaTime", EthereumHardfork::Osaka),
    optional("bpo1Time", EthereumHardfork::Bpo1),
    optional("bpo2Time", EthereumHardfork::Bpo2),
    optional("bpo3Time", EthereumHardfork::Bpo3),
    optional("bpo4Time", EthereumHardfork::Bpo4),
    optional("bpo5Time", EthereumHardfork::Bpo5),
    optional("amsterdamTime", EthereumHardfork::Amsterdam),
];

/// Members that say that blocks are sealed by neither proof of work nor proof of stake.
const OTHER_SEALS: [&str; 5] = ["clique", "aura", "ibft2", "qbft", "parlia"];

/// A member and when it begins, if it does.
type Scheduled = (&'static Member, Option<u64>);

/// The chain of a genesis block with this `config` and `difficulty`.
pub(super) fn chain(config: &Object<'_>, difficulty: U256) -> Result<ChainSpec, GenesisError> {
    let Some(chain_id) = config.u64("chainId")? else {
        return Err(config.fail("chainId", MemberProblem::Missing));
    };
    reject_unknown_forks(config)?;
    let blocks = blocks(config)?;
    let times = schedule(config, &BY_TIME)?;
    let merge = merge(config, difficulty, &blocks, &times)?;
    let refused_dao = match config.boolean("daoForkSupport")? {
        Some(true) => None,
        _ => begin(&blocks, "daoForkBlock"),
    };

    let mut forks = vec![(EthereumHardfork::Frontier, ForkCondition::ZERO_BLOCK)];
    forks.extend(blocks.iter().filter_map(|(member, begin)| {
        let refused = refused_dao.is_some();
        let fork = member.fork.filter(|fork| *fork != EthereumHardfork::Dao || !refused)?;
        Some((fork, ForkCondition::Block((*begin)?)))
    }));
    forks.extend(merge.map(|merge| (EthereumHardfork::Paris, merge)));
    forks.extend(
        times.iter().filter_map(|(member, begin)| {
            Some((member.fork?, ForkCondition::Timestamp((*begin)?)))
        }),
    );
    let blobs = blob_schedule(config, &times)?;
    let mut spec =
        ChainSpec::with_blob_schedule(format!("chain {chain_id}"), chain_id, forks, &blobs);
    if let Some(block) = refused_dao {
        spec = spec.with_dao_refused_at(block);
    }
    // Whoever leaves the contract out has none, as in geth; mainnet's would be a guess.
    Ok(spec.with_deposit_contract(config.address("depositContractAddress")?.unwrap_or_default()))
}

/// Members that end like those of forks must be forks that are known.
fn reject_unknown_forks(config: &Object<'_>) -> Result<(), GenesisError> {
    for name in config.names() {
        let lower = name.to_ascii_lowercase();
        let looks_like_fork = lower.ends_with("block") || lower.ends_with("time");
        let known = BY_BLOCK.iter().chain(&BY_TIME);
        if looks_like_fork
            && !known.into_iter().any(|member| member.name.eq_ignore_ascii_case(name))
        {
            return Err(GenesisError::UnknownFork { place: config.place(name) });
        }
    }
    Ok(())
}

fn blocks(config: &Object<'_>) -> Result<Vec<Scheduled>, GenesisError> {
    let mut blocks = read(config, &BY_BLOCK)?;
    // Files from before Petersburg was thought of mean Constantinople as it came to be.
    let constantinople = begin(&blocks, "constantinopleBlock");
    for (member, begin) in &mut blocks {
        if member.fork == Some(EthereumHardfork::Petersburg) {
            *begin = begin.or(constantinople);
        }
    }
    let (eip155, eip158) = (begin(&blocks, "eip155Block"), begin(&blocks, "eip158Block"));
    if eip155 != eip158 {
        return Err(GenesisError::SpuriousDragon { eip155, eip158 });
    }
    check_order(&blocks)?;
    Ok(blocks)
}

/// When the member `name` begins.
fn begin(schedule: &[Scheduled], name: &str) -> Option<u64> {
    schedule.iter().find(|(member, _)| member.name == name).and_then(|(_, begin)| *begin)
}

fn schedule(
    config: &Object<'_>,
    members: &'static [Member],
) -> Result<Vec<Scheduled>, GenesisError> {
    let schedule = read(config, members)?;
    check_order(&schedule)?;
    Ok(schedule)
}

fn read(config: &Object<'_>, members: &'static [Member]) -> Result<Vec<Scheduled>, GenesisError> {
    members.iter().map(|member| Ok((member, config.u64(member.name)?))).collect()
}

fn check_order(schedule: &[Scheduled]) -> Result<(), GenesisError> {
    let mut last: Option<Scheduled> = None;
    for (member, begin) in schedule {
        match (last, *begin) {
            (Some((missing, None)), Some(_)) => {
                return Err(GenesisError::ForkMissing {
                    missing: missing.name,
                    later: member.name,
                });
            }
            (Some((earlier, Some(earlier_at))), Some(later_at)) if later_at < earlier_at => {
                let (earlier, later) = (earlier.name, member.name);
                return Err(GenesisError::ForkOrder { earlier, earlier_at, later, later_at });
            }
            _ => {}
        }
        // The first that is missing is the one to name.
        let first_missing = last.is_some_and(|(_, begin)| begin.is_none());
        if (begin.is_some() || !member.optional) && !first_missing {
            last = Some((member, *begin));
        }
    }
    Ok(())
}

/// When proof of work ends, `None` for never.
fn merge(
    config: &Object<'_>,
    difficulty: U256,
    blocks: &[Scheduled],
    times: &[Scheduled],
) -> Result<Option<ForkCondition>, GenesisError> {
    let terminal = config.number("terminalTotalDifficulty")?;
    let sealed = terminal.is_none_or(|terminal| terminal > difficulty);
    if let Some(engine) = OTHER_SEALS.into_iter().find(|name| sealed && config.has(name)) {
        return Err(GenesisError::Seal { engine });
    }
    let Some(total_difficulty) = terminal else {
        let after_merge = times.iter().find(|(_, begin)| begin.is_some());
        return match after_merge {
            Some((member, _)) => Err(GenesisError::NoMerge { fork: member.name }),
            None => Ok(None),
        };
    };
    Ok(Some(ForkCondition::TTD {
        activation_block_number: match (total_difficulty.is_zero(), sealed) {
            (true, _) => 0,
            // The genesis block itself is the last with proof of work.
            (false, false) => 1,
            (false, true) => UNRESOLVED_MERGE,
        },
        fork_block: begin(blocks, "mergeNetsplitBlock"),
        total_difficulty,
    }))
}

fn blob_schedule(config: &Object<'_>, times: &[Scheduled]) -> Result<BlobSchedule, GenesisError> {
    let listed = config.object("blobSchedule")?;
    let mut schedule = BlobSchedule::new();
    for name in listed.iter().flat_map(Object::names) {
        // A fork that is not known cannot begin either, so what it would bring does not matter.
        let Ok(fork) = name.parse::<EthereumHardfork>() else { continue };
        if let Some(counts) =
            listed.as_ref().map(|listed| listed.object(name)).transpose()?.flatten()
        {
            schedule.insert(fork, blob_counts(&counts)?);
        }
    }
    for (member, begin) in times {
        let Some(fork) = member.fork.filter(|_| begin.is_some()) else { continue };
        let counts_blobs = fork >= EthereumHardfork::Cancun && fork < EthereumHardfork::Amsterdam;
        // Files older than the member mean mainnet's counts, which only its own forks have.
        let defaults = schedule.is_empty() && fork <= EthereumHardfork::Osaka;
        if counts_blobs && !defaults && !schedule.contains_key(&fork) {
            return Err(GenesisError::NoBlobCounts { fork: member.name });
        }
    }
    Ok(schedule)
}

fn blob_counts(counts: &Object<'_>) -> Result<BlobCounts, GenesisError> {
    let required = |name| {
        let number = counts.u64(name)?;
        number.ok_or_else(|| counts.fail(name, MemberProblem::Missing))
    };
    let fraction = "baseFeeUpdateFraction";
    let zero = || counts.fail(fraction, MemberProblem::Zero);
    Ok(BlobCounts {
        target: required("target")?,
        max: required("max")?,
        base_fee_update_fraction: NonZeroU64::new(required(fraction)?).ok_or_else(zero)?,
    })
}

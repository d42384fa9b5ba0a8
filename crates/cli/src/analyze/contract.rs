//! `warpline analyze contract`: code in, words out.

mod dot;
mod input;
mod names;
mod report;
#[cfg(feature = "rpc")]
mod rpc;
mod text;

use std::fs;

use anyhow::Context as _;
use warpline_analysis::bytecode::{Contract, Names};

use super::ContractArgs;
use crate::{SUCCESS, json::Target, table::Printer};

/// A contract with what is known of it beside its code.
struct Subject {
    /// What it was asked for by.
    source: String,
    contract: Contract,
    names: Names,
}

/// Runs the command and returns the exit status.
pub(super) fn run(args: &ContractArgs) -> anyhow::Result<u8> {
    let given = input::read(args)?;
    let names = match &args.abi {
        Some(path) => names::read(path)?,
        None => given.names,
    };
    let target = Target::open(args.json.as_deref())?;
    let subject = Subject { source: given.source, contract: Contract::analyze(&given.code), names };
    let printer = Printer::new(!matches!(target, Some(Target::Stdout)));
    text::print(&printer, &subject)?;
    if let Some(path) = &args.dot {
        fs::write(path, dot::graph(&subject))
            .with_context(|| format!("cannot write the graph to {}", path.display()))?;
    }
    if let Some(target) = target {
        target.write(&report::of(&subject))?;
    }
    Ok(SUCCESS)
}

//! `warpline analyze`: what can be known of transactions before they run.

mod predict;

use crate::args::AnalyzeCommand;

/// Runs the command and returns the exit status.
pub(crate) fn run(command: &AnalyzeCommand) -> anyhow::Result<u8> {
    match command {
        AnalyzeCommand::Predict(args) => predict::run(args),
    }
}

//! `warpline analyze`: what can be said before anything runs.

mod contract;
mod predict;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::PredictArgs;

/// What is analysed.
#[derive(Debug, Subcommand)]
pub(crate) enum AnalyzeCommand {
    /// Say which storage the functions of a contract touch, and what makes calls of them conflict.
    #[command(after_help = CONTRACT_EXAMPLES)]
    Contract(ContractArgs),
    /// Predict what the transactions of each block touch and take from the blocks before it, and
    /// measure how good that is and what it gives.
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(PredictArgs),
}

const CONTRACT_EXAMPLES: &str = "Examples:
  warpline analyze contract Token.json                    an artefact of solc or foundry, by name
  warpline analyze contract code.hex --abi Token.json     names from another file
  warpline analyze contract code.hex --dot graph.dot      the control flow, for Graphviz
  warpline analyze contract 0xC02a...6Cc2 --rpc http://127.0.0.1:8545
                                                          a deployed contract
  cast code 0xC02a...6Cc2 | warpline analyze contract -   the same without --rpc

Exit status: 0 analysed, 2 unusable input or arguments.";

const PREDICT_EXAMPLES: &str = "Examples:
  warpline analyze predict blocks/                  how well each block is predicted by those before
  warpline analyze predict --save model blocks/     and keep what was learned
  warpline analyze predict --load model --read-latency-us 100 later/
                                                    on a slow state, with what was learned before

Exit status: 0 all results identical, 1 a mismatch or a failed block, 2 unusable input or arguments.";

#[derive(Args, Debug)]
pub(crate) struct ContractArgs {
    /// A file with the code as it is at its address, in hexadecimal digits, as raw bytes, or in a JSON
    /// artefact's `deployedBytecode`; `-` for standard input; or the address of a contract.
    #[arg(value_name = "FILE|ADDRESS")]
    input: PathBuf,
    /// The node to ask for the code at an address. Plain HTTP only.
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// Names from a JSON ABI, or an artefact that has one; of variables, too, where it has a storage
    /// layout.
    #[arg(long, value_name = "FILE")]
    abi: Option<PathBuf>,
    /// Write the control flow as a Graphviz graph, with the functions' blocks and segments.
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Write the results as JSON to a file, or to standard output instead of the text.
    #[arg(long, value_name = "FILE|-")]
    json: Option<PathBuf>,
}

/// Runs the command and returns the exit status.
pub(crate) fn run(command: &AnalyzeCommand) -> anyhow::Result<u8> {
    match command {
        AnalyzeCommand::Contract(args) => contract::run(args),
        AnalyzeCommand::Predict(args) => predict::run(args),
    }
}

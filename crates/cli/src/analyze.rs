//! `warpline analyze`: what can be said before anything runs.

mod contract;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is analysed.
#[derive(Debug, Subcommand)]
pub(crate) enum AnalyzeCommand {
    /// Say which storage the functions of a contract touch, and what makes calls of them conflict.
    #[command(after_help = CONTRACT_EXAMPLES)]
    Contract(ContractArgs),
}

const CONTRACT_EXAMPLES: &str = "Examples:
  warpline analyze contract Token.json                    an artefact of solc or foundry, by name
  warpline analyze contract code.hex --abi Token.json     names from another file
  warpline analyze contract code.hex --dot graph.dot      the control flow, for Graphviz
  warpline analyze contract 0xC02a...6Cc2 --rpc http://127.0.0.1:8545
                                                          a deployed contract
  cast code 0xC02a...6Cc2 | warpline analyze contract -   the same without --rpc

Exit status: 0 analysed, 2 unusable input or arguments.";

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
    }
}

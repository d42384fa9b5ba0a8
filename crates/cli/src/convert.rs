//! `warpline convert`: inputs of other formats as captures.

use std::collections::BTreeSet;

use warpline_replay::{Capture, Captured, CapturedState, Captures, Origin};

use crate::{
    SUCCESS, UNUSABLE,
    args::list,
    remote::{args::ConvertArgs, sink::Sink},
    table::{BAD, FAINT, Printer, STRONG, Styled, counted},
};

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ConvertArgs) -> anyhow::Result<u8> {
    let mut session = Session {
        sink: Sink::open(&args.out)?,
        printer: Printer::new(true),
        blocks: 0,
        bytes: 0,
        tests: BTreeSet::new(),
        unusable: 0,
    };
    let titles = format!("{:>9}  {:<8}  {:>10}  from", "block", "state", "bytes");
    session.printer.line(Styled(STRONG, titles))?;
    for captured in Captures::open(&args.inputs) {
        match captured {
            Ok(Captured::Block(origin, capture)) => session.block(&origin, &capture)?,
            Ok(Captured::ChainTest(test)) => session.chain_test(test.origin)?,
            Ok(Captured::Skipped(origin)) => {
                let note = format!("{origin}: not in a known format, skipped");
                session.printer.line(Styled(FAINT, note))?;
            }
            Err(error) => session.unusable(&error)?,
        }
    }
    let Session { sink, printer, blocks, bytes, unusable, .. } = session;
    if blocks > 0 {
        sink.finish()?;
        printer.line(format_args!("\n{}, {}", counted(blocks, "block"), counted(bytes, "byte")))?;
    }
    if unusable > 0 {
        printer.line(Styled(BAD, counted(unusable, "unusable input")))?;
        return Ok(UNUSABLE);
    }
    anyhow::ensure!(blocks > 0, "no blocks in {}", list(&args.inputs));
    Ok(SUCCESS)
}

struct Session {
    sink: Sink,
    printer: Printer,
    blocks: usize,
    bytes: usize,
    /// The files of blockchain tests that were named already.
    tests: BTreeSet<Origin>,
    unusable: usize,
}

impl Session {
    fn block(&mut self, origin: &Origin, capture: &Capture) -> anyhow::Result<()> {
        let (id, bytes) = match (capture.id(), capture.encode()) {
            (Ok(id), Ok(bytes)) => (id, bytes),
            (Err(error), _) => return self.unusable(&format_args!("{origin}: {error}")),
            (_, Err(error)) => return self.unusable(&format_args!("{origin}: {error}")),
        };
        let (number, hash) = id;
        self.sink.write(number, hash, &bytes)?;
        self.blocks += 1;
        self.bytes += bytes.len();
        let state = match &capture.state {
            CapturedState::Snapshot(_) => "snapshot",
            CapturedState::Witness(_) => "witness",
        };
        Ok(self
            .printer
            .line(format_args!("{number:>9}  {state:<8}  {:>10}  {origin}", bytes.len()))?)
    }

    /// Says once for a file what it is.
    fn chain_test(&mut self, origin: Origin) -> anyhow::Result<()> {
        let file = Origin { case: None, ..origin };
        if !self.tests.insert(file.clone()) {
            return Ok(());
        }
        self.unusable(&format_args!(
            "{file}: a blockchain test is about a chain, its invalid blocks included, and a capture about one block: \
             replay it as it is"
        ))
    }

    fn unusable(&mut self, reason: &dyn std::fmt::Display) -> anyhow::Result<()> {
        self.unusable += 1;
        Ok(self.printer.line(format_args!("{} {reason}", Styled(BAD, "unusable input")))?)
    }
}

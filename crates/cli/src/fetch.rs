//! `warpline fetch`: captures of a node's blocks.

use crate::{
    SUCCESS, UNUSABLE,
    remote::{self, args::FetchArgs, sink::Sink},
    table::{BAD, FAINT, Printer, STRONG, Styled, complain, counted},
};

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &FetchArgs) -> anyhow::Result<u8> {
    let (_, cached) = args.node.cache();
    anyhow::ensure!(
        cached || args.out.is_some(),
        "the blocks would go nowhere: say where with --out, or leave out --no-cache"
    );
    let mut blocks = remote::fetch(&args.rpc, &args.blocks, &args.node)?;
    let mut uncached = blocks.take_uncached();
    if args.out.is_none()
        && let Some(reason) = uncached
    {
        return Err(reason);
    }
    let mut sink = args.out.as_deref().map(Sink::open).transpose()?;
    let printer = Printer::new(true);
    let titles = format!("{:>9}  {:>5}  {:<8}  {:>10}  from", "block", "txs", "state", "bytes");
    printer.line(Styled(STRONG, titles))?;
    let mut is_said = false;
    let (count, mut fetched, mut kept, mut bytes) = (blocks.total(), 0_u64, 0_u64, 0);
    for block in blocks {
        let mut block = match block {
            Ok(block) => block,
            Err(failed) => {
                complain(&failed.error);
                if failed.is_final {
                    break;
                }
                continue;
            }
        };
        match uncached.take().or_else(|| block.unkept.take()) {
            // It went nowhere.
            Some(reason) if args.out.is_none() => {
                complain(&reason);
                continue;
            }
            Some(reason) if !is_said => {
                printer.line(Styled(FAINT, format_args!("not kept: {reason:#}")))?;
                is_said = true;
            }
            _ => {}
        }
        if let Some(note) = &block.note {
            printer.line(Styled(FAINT, note))?;
        }
        if let Some(sink) = &mut sink {
            sink.write(block.number, block.hash, &block.bytes)?;
        }
        let (counter, from) =
            if block.is_new { (&mut fetched, "node") } else { (&mut kept, "cache") };
        *counter += 1;
        bytes += block.bytes.len();
        printer.line(format_args!(
            "{:>9}  {:>5}  {:<8}  {:>10}  {from}",
            block.number,
            block.input.transaction_count(),
            if block.is_witness { "witness" } else { "snapshot" },
            block.bytes.len(),
        ))?;
    }
    let came = fetched + kept;
    let missing = count - came;
    let partial = match sink {
        // Where nothing has come nothing is left.
        Some(sink) if missing > 0 && came > 0 => sink.finish_partial()?,
        Some(sink) if missing == 0 => sink.finish().map(|()| None)?,
        _ => None,
    };
    printer.line(format_args!(
        "\n{} fetched, {kept} from the cache, {} in all",
        counted(fetched, "block"),
        counted(bytes, "byte"),
    ))?;
    if missing > 0 {
        let verb = if missing == 1 { "is" } else { "are" };
        printer.line(Styled(BAD, format_args!("{} {verb} missing", counted(missing, "block"))))?;
        if let Some(path) = partial {
            let path = path.display();
            printer.line(Styled(BAD, format_args!("those that came are in {path}")))?;
        }
        return Ok(UNUSABLE);
    }
    Ok(SUCCESS)
}

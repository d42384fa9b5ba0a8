//! `cargo bench -p warpline-bench`: the generated workloads, with the work that they took.

use std::sync::{Mutex, PoisonError};

use divan::Bencher;
use warpline_bench::{Case, Work};
use warpline_workloads::Size;

/// The command's allocator, so that the times can be compared with its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Long enough for two workers to get going, short enough for all cases in a minute or two.
const MEASURED: Size = Size::Gas(100_000_000);
/// To see that a case works.
const TRIED: Size = Size::Transactions(20);

static WORK: Mutex<Work> = Mutex::new(Work::new());

#[expect(clippy::print_stdout, reason = "a benchmark is there to be read")]
fn main() {
    divan::main();
    if is_measured() {
        println!("{}", WORK.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Whether this is `cargo bench`, not a test.
fn is_measured() -> bool {
    let mut arguments = std::env::args().skip(1);
    arguments.any(|argument| argument == "--bench")
}

#[divan::bench(args = Case::all(), sample_count = 40, sample_size = 1)]
fn execute(bencher: Bencher<'_, '_>, case: &Case) {
    let size = if is_measured() { MEASURED } else { TRIED };
    let prepared = case.prepare(size).unwrap_or_else(|error| panic!("{case}: {error}"));
    bencher.bench_local(|| {
        let output = prepared.execute().unwrap_or_else(|error| panic!("{case}: {error}"));
        WORK.lock().unwrap_or_else(PoisonError::into_inner).add(*case, &output.work);
        output
    });
}

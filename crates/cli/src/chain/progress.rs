//! How far an import is, said on standard error while it goes on: a bar that moves on a terminal, and elsewhere,
//! where it would fill a log, a line now and then.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use warpline_node::ImportProgress;

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(10);

/// What shows how far an import is, one file after the other.
pub(super) struct Display {
    /// Draws nothing where there is no terminal.
    bar: ProgressBar,
    is_terminal: bool,
    begun: Instant,
    file_begun: Instant,
    pace: Pace,
}

impl Display {
    pub(super) fn new() -> Self {
        let (bar, begun) = (ProgressBar::hidden(), Instant::now());
        let pace = Pace { next: EVERY };
        let is_terminal = io::stderr().is_terminal();
        Self { bar, is_terminal, begun, file_begun: begun, pace }
    }

    /// Begins with the next file.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}")?;
        self.bar = ProgressBar::new_spinner().with_style(style);
        self.file_begun = Instant::now();
        Ok(())
    }

    /// Shows how far the file is.
    pub(super) fn show(&mut self, progress: &ImportProgress) {
        let elapsed = self.file_begun.elapsed();
        if self.is_terminal {
            self.bar.set_message(text(progress, elapsed));
            self.bar.tick();
        } else if self.pace.is_due(self.begun.elapsed()) {
            // Whether anybody reads it or not.
            let _ = writeln!(anstream::stderr(), "{}", text(progress, elapsed));
        }
    }

    /// Ends with the file, and returns how long it took.
    pub(super) fn end(&self) -> Duration {
        self.bar.finish_and_clear();
        self.file_begun.elapsed()
    }
}

/// When the next line is due.
struct Pace {
    next: Duration,
}

impl Pace {
    /// Whether a line is due, this long after the beginning. It is then taken to be printed.
    fn is_due(&mut self, elapsed: Duration) -> bool {
        let is_due = elapsed >= self.next;
        if is_due {
            self.next = elapsed + EVERY;
        }
        is_due
    }
}

fn text(progress: &ImportProgress, elapsed: Duration) -> String {
    format!(
        "block {}, {} new, {:.1} Mgas/s, {:.1} MiB read",
        progress.number,
        progress.imported,
        rate(progress.gas, elapsed) / 1e6,
        rate(progress.offset, Duration::from_secs(1)) / f64::from(1 << 20),
    )
}

/// So much in a second.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_every_ten_seconds_and_none_at_once() {
        let mut pace = Pace { next: EVERY };
        let mut due = |seconds: &f64| pace.is_due(Duration::from_secs_f64(*seconds));
        let looks = [0.0, 9.9, 10.0, 10.1, 19.9, 35.0, 36.0, 44.9, 45.0, 45.0];
        let printed: Vec<f64> = looks.into_iter().filter(|seconds| due(seconds)).collect();
        assert_eq!(printed, [10.0, 35.0, 45.0]);
    }

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let progress = ImportProgress {
            imported: 3,
            known: 4,
            gas: 30_000_000,
            number: 7,
            offset: 3 << 19,
            ..ImportProgress::default()
        };
        let said = text(&progress, Duration::from_secs(2));
        assert_eq!(said, "block 7, 3 new, 15.0 Mgas/s, 1.5 MiB read");
    }
}

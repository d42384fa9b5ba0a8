//! What people read: aligned columns, colours where they are wanted, complaints to standard error.

use std::{
    fmt,
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Style};

/// Good news.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A remark.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// Headings.
pub(crate) const STRONG: Style = Style::new().bold();

/// Text in a style. Padding applies to the text, not to the codes around it.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.1.fmt(f)?;
        write!(f, "{:#}", self.0)
    }
}

/// Standard output, or nowhere.
#[derive(Debug)]
pub(crate) struct Printer {
    enabled: bool,
}

impl Printer {
    /// Prints if `enabled`.
    pub(crate) const fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// Prints a line.
    pub(crate) fn line(&self, text: impl fmt::Display) -> io::Result<()> {
        if !self.enabled {
            return Ok(());
        }
        writeln!(anstream::stdout().lock(), "{text}")
    }
}

/// A duration in milliseconds with three significant digits, or a dash.
pub(crate) fn millis(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.2}"),
        Some(ms) if ms < 100.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.0}"),
    }
}

/// How many there are of something, in the singular where it is one.
pub(crate) fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A factor such as `1.62x`, or a dash.
pub(crate) fn factor(factor: Option<f64>) -> String {
    factor.map_or_else(|| "-".to_owned(), |factor| format!("{factor:.2}x"))
}

/// Prints how many reads of a slow parent state were outstanding at once, where there was one.
pub(crate) fn print_read_depth(printer: &Printer, depth: Option<usize>) -> io::Result<()> {
    depth.map_or(Ok(()), |depth| {
        printer.line(format_args!("up to {} outstanding", counted(depth, "read")))
    })
}

/// Gas in millions.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub(crate) fn megagas(gas: u64) -> String {
    format!("{:.2}", gas as f64 / 1e6)
}

/// The line for a case that failed.
pub(crate) fn failed_case(
    case: impl fmt::Display,
    network: &str,
    reason: impl fmt::Display,
) -> String {
    format!("{} {case} [{network}]: {reason}", Styled(BAD, "failed"))
}

/// Reports an error that ends the command.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(anstream::stderr(), "{}: {}", Styled(BAD, "error"), in_full(error));
}

/// An error and its causes, each said once: many say what caused them themselves.
fn in_full(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether nobody reads our output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let said = [0_u64, 1, 2].map(|count| counted(count, "unusable input"));
        assert_eq!(said, ["0 unusable inputs", "1 unusable input", "2 unusable inputs"]);
    }

    #[test]
    fn causes_are_said_once() {
        let cause = io::Error::other("no room");
        let told =
            anyhow::Error::from(cause).context("cannot write: no room").context("report.html");
        assert_eq!(in_full(&told), "report.html: cannot write: no room");
        let silent = anyhow::Error::from(io::Error::other("no room")).context("cannot write");
        assert_eq!(in_full(&silent), "cannot write: no room");
    }
}

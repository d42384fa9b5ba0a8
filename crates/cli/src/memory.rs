//! How much memory this process takes while it executes.
//!
//! What is resident does not say what it is for, and an allocator keeps what was freed. So this is
//! for a process that executes one block in one way. It can be had from Linux only; elsewhere there
//! are no figures.

use std::fs;

/// Writing this to `clear_refs` makes the kernel forget the peak (proc(5)).
const FORGET_PEAK: &str = "5";

/// The peak of resident memory, in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Before: block and parent state, and what making them left behind.
    pub(crate) resident_mib: f64,
    pub(crate) peak_mib: f64,
}

/// Waits for the peak.
#[derive(Debug)]
pub(crate) struct Watch {
    resident_mib: f64,
}

impl Watch {
    /// Begins here, whatever was the peak before.
    pub(crate) fn start() -> Option<Self> {
        fs::write("/proc/self/clear_refs", FORGET_PEAK).ok()?;
        Some(Self { resident_mib: status_mib("VmRSS:")? })
    }

    /// The peak since the start.
    pub(crate) fn stop(self) -> Option<Memory> {
        Some(Memory { resident_mib: self.resident_mib, peak_mib: status_mib("VmHWM:")? })
    }
}

/// A line of this process's status, which the kernel gives in KiB.
fn status_mib(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_remembers_what_was_freed_again() {
        let watch = Watch::start().expect("Linux says so");
        let before = watch.resident_mib;
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        let memory = watch.stop().expect("Linux says so");
        assert!(memory.peak_mib > before + 60.0, "{memory:?}");
    }
}

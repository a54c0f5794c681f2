//! Processor time and memory of a process, as the kernel accounts for them.

use anyhow::{Context, Result};

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Seconds of processor time, user and system, of all threads, ended ones included; the kernel counts in steps of 10 ms
    pub cpu: f64,
    /// Resident bytes now
    pub resident: f64,
    /// The most resident bytes since the start, or since [`reset_peak`]
    pub peak: f64,
}

/// Usage of a process; `"self"` is this one.
///
/// # Errors
/// When there is no such process.
pub fn usage(pid: impl std::fmt::Display) -> Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    Ok(Usage {
        cpu: cpu(&stat, rustix::param::clock_ticks_per_second()).with_context(|| format!("parse {stat}"))?,
        resident: kilobytes(&status, "VmRSS:").context("no VmRSS")?,
        peak: kilobytes(&status, "VmHWM:").context("no VmHWM")?,
    })
}

/// Makes the present size of a process its peak, so that the next peak is that of what follows.
///
/// # Errors
/// When the process is gone, or is another user's.
pub fn reset_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    std::fs::write(&path, "5").with_context(|| format!("write {path}"))
}

/// `utime` and `stime` of `/proc/PID/stat`. The second field is the program's name and may hold anything, blanks and
/// brackets included; what follows its last bracket are numbers.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    let ticks = f64::from(next()?) + f64::from(next()?);
    Some(ticks / f64::from(u32::try_from(ticks_per_second).ok()?))
}

/// A line such as `VmRSS: 12345 kB`, in bytes.
fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_brackets_and_blanks() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 7 7 20 0 3 0 9 1 2";
        assert_eq!(cpu(stat, 100), Some(2.0));
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!((kilobytes(status, "VmHWM:"), kilobytes(status, "VmRSS:")), (Some(2_097_152.0), Some(1_048_576.0)));
    }

    #[test]
    fn work_of_this_process_shows_in_its_usage() {
        let before = usage("self").unwrap();
        let mut sum = 0_u64;
        while usage("self").unwrap().cpu < before.cpu + 0.05 {
            sum = (0..100_000_u64).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        let held = vec![1_u8; 64 << 20];
        let after = usage("self").unwrap();
        assert!(after.resident > before.resident + 50e6, "{sum} {} {after:?}", held.len());
        assert!(after.peak >= after.resident);
    }
}

//! Durations of rules, as PromQL writes them.

use std::time::Duration;

/// How fast time passes for the rules.
///
/// Nobody waits a week to see an alert fire: a test makes the same rules with a faster clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    times: u32,
}

/// Less would be shorter than a few scrapes, of which a rate needs two.
const SHORTEST: Duration = Duration::from_secs(6);

impl Clock {
    /// As it passes for everybody.
    pub const REAL: Self = Self { times: 1 };

    /// So many times as fast, but nothing takes less than six seconds.
    #[must_use]
    pub fn faster(times: u32) -> Self {
        Self { times: times.max(1) }
    }

    /// A duration in seconds.
    #[must_use]
    pub fn seconds(self, duration: Duration) -> u64 {
        if self.times == 1 { duration.as_secs() } else { (duration / self.times).max(SHORTEST).as_secs() }
    }

    /// A window as PromQL writes it: `1d`, `15m`, `6s`.
    #[must_use]
    pub fn window(self, duration: Duration) -> String {
        written(self.seconds(duration))
    }

    /// How long an alert waits, which may be shorter than a window: what fell within one must still be seen at its end.
    #[must_use]
    pub fn wait(self, duration: Duration) -> String {
        written((duration / self.times).max(Duration::from_secs(2)).as_secs())
    }
}

fn written(seconds: u64) -> String {
    let units = [(86400, "d"), (3600, "h"), (60, "m")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit)).unwrap_or((1, "s"));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_largest_unit_that_fits() {
        let text = |seconds| Clock::REAL.window(Duration::from_secs(seconds));
        assert_eq!([86400, 3600, 900, 90, 6].map(text), ["1d", "1h", "15m", "90s", "6s"]);
    }

    #[test]
    fn a_faster_clock_leaves_time_for_scrapes() {
        let clock = Clock::faster(100);
        assert_eq!([900, 3600].map(|seconds| clock.window(Duration::from_secs(seconds))), ["9s", "36s"]);
        assert_eq!(clock.window(Duration::from_mins(1)), "6s");
        assert_eq!(clock.wait(Duration::from_mins(1)), "2s");
    }
}

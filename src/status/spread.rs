//! How long things take, counted by size: what a histogram on `/metrics` shows.
//!
//! Everything is a number of tenths of a second, so that what was added can be taken out again without a trace.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Room for the counts of the longest scale, and for what is beyond it.
const SLOTS: usize = 12;
/// Upper bounds in seconds for the time from a commit to its last pod: five minutes to a month.
pub const LEAD: &[u32] = &[300, 900, 3600, 14_400, 43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000];
/// Upper bounds in seconds for a deploy: ten seconds to six hours.
pub const DEPLOY: &[u32] = &[10, 30, 60, 120, 300, 600, 1800, 3600, 21_600];
/// Upper bounds in seconds from a service's creation to its first running pods: ten seconds to a month.
pub const FIRST: &[u32] = &[10, 60, 300, 900, 3600, 14_400, 86_400, 604_800, 2_592_000];
const _: () = assert!(LEAD.len() < SLOTS && DEPLOY.len() < SLOTS && FIRST.len() < SLOTS);

/// Clocks of two machines may differ by so much without one of them being wrong.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// Counts by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    counts: [u64; SLOTS],
    sum: u64,
}

/// As an exposition shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Each bound in seconds, with how many are not longer.
    pub buckets: Vec<(f64, u64)>,
    /// How many there are.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

fn slot(scale: &[u32], tenths: u32) -> usize {
    scale.iter().position(|bound| u64::from(tenths) <= u64::from(*bound) * 10).unwrap_or(scale.len())
}

impl Spread {
    /// Adds one.
    pub fn add(&mut self, scale: &[u32], tenths: u32) {
        self.counts[slot(scale, tenths)] += 1;
        self.sum += u64::from(tenths);
    }

    /// Takes one out that was added as it is.
    pub fn subtract(&mut self, scale: &[u32], tenths: u32) {
        let count = &mut self.counts[slot(scale, tenths)];
        *count = count.saturating_sub(1);
        self.sum = self.sum.saturating_sub(u64::from(tenths));
    }

    /// By the bounds of its scale.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // tenths of seconds of a thousand years are far below 2^52
    pub fn shown(&self, scale: &[u32]) -> Shown {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(scale.len());
        for (bound, n) in scale.iter().zip(self.counts) {
            count += n;
            buckets.push((f64::from(*bound), count));
        }
        Shown { buckets, count: self.counts.iter().sum(), sum: self.sum as f64 / 10.0 }
    }
}

/// The time between two moments that two machines may have told, in tenths of a second.
///
/// A little less than nothing is nothing. Nothing is known where the end lies clearly before the beginning: then a clock is
/// wrong or was set back, or whoever wrote the times did not mean them.
#[must_use]
pub fn elapsed(from: Timestamp, to: Timestamp) -> Option<u32> {
    let passed = to.duration_since(from);
    (passed >= -SKEW).then(|| u32::try_from(passed.as_millis().max(0) / 100).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_as_long_as_a_bound_is_within_it_and_all_is_taken_out_again() {
        let mut spread = Spread::default();
        for tenths in [0, 100, 101, 300, 900_000_000] {
            spread.add(DEPLOY, tenths);
        }
        let shown = spread.shown(DEPLOY);
        assert_eq!(&shown.buckets[..3], [(10.0, 2), (30.0, 4), (60.0, 4)]);
        assert_eq!((shown.count, shown.buckets[8].1), (5, 4), "the longest is beyond every bound");
        assert!((shown.sum - 90_000_050.1).abs() < 1e-6, "{}", shown.sum);
        for tenths in [900_000_000, 300, 101, 100, 0] {
            spread.subtract(DEPLOY, tenths);
        }
        assert_eq!(spread, Spread::default());
        spread.subtract(DEPLOY, 5);
        assert_eq!(spread.shown(DEPLOY).count, 0, "never below nothing");
    }

    #[rstest]
    #[case::later(0, 2, Some(20))]
    #[case::at_once(5, 5, Some(0))]
    #[case::clocks_that_differ(60, 0, Some(0))]
    #[case::a_clock_that_was_set_back(61, 0, None)]
    #[case::never_ending(0, 200_000_000_000, Some(u32::MAX))]
    fn no_time_is_negative(#[case] from: i64, #[case] to: i64, #[case] expected: Option<u32>) {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(elapsed(at(from), at(to)), expected);
    }
}

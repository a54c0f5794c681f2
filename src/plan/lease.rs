//! Who leads: what a candidate does when it looks at the Lease, after client-go's rules.
//!
//! A lease has expired when nobody has changed it for its whole duration *as this process saw it*: the times in it are of
//! another machine's clock and are never compared. Source: `k8s.io/client-go/tools/leaderelection`, API doc of Lease.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// Name of the Lease in the operator's namespace.
pub const NAME: &str = "goldenpath";
/// How long a leader leads after its last renewal.
pub const DURATION: Duration = Duration::from_secs(5);
/// So long after the start of its last renewal that succeeded a leader may still write. The rest of the duration is for
/// what is on its way, and for clocks that do not run at one speed.
pub const MAY_WRITE: Duration = Duration::from_millis(3_400);
/// What was written in the last moment may still be on its way for so long: it arrives before the lease has run out.
pub const ON_ITS_WAY: Duration = Duration::from_millis(1_400);
/// Pause between two renewals: 0.6 writes a second.
pub const RENEW_EVERY: Duration = Duration::from_millis(1_700);
/// Pause after one that failed.
pub const RETRY: Duration = Duration::from_millis(300);
/// Deadline of a renewal: one that hangs must leave time for another.
pub const DEADLINE: Duration = Duration::from_millis(1_200);
/// A record that says more is not believed: it would keep everybody away.
const LONGEST: Duration = Duration::from_mins(1);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is none: make it.
    Create,
    /// Nobody holds it, or its holder has not been heard of: take it.
    Take,
    /// Somebody holds it, and it runs out after this, unless it changes.
    Wait(Duration),
}

/// One who would lead.
#[derive(Debug, Default)]
pub struct Candidate {
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    /// Looks at the lease as it is. Who held it and has not left it may still write: one that was deleted, or whose holder
    /// somebody has emptied, is waited for like one that is not renewed.
    pub fn look(&mut self, lease: Option<&LeaseSpec>, now: Instant) -> Turn {
        let is_held = lease.is_some_and(|lease| holder(lease).is_some());
        if let Some(lease) = lease.filter(|_| is_held)
            && self.seen.as_ref().is_none_or(|(seen, _)| seen != lease)
        {
            self.seen = Some((lease.clone(), now));
        }
        let free = if lease.is_some() { Turn::Take } else { Turn::Create };
        match &self.seen {
            Some((seen, since)) if is_held || !lease.is_some_and(is_released) => {
                match (*since + duration(seen)).saturating_duration_since(now) {
                    Duration::ZERO => free,
                    left => Turn::Wait(left),
                }
            }
            _ => free,
        }
    }
}

/// What a leader writes that goes: `leaderelection.go` of client-go writes the same.
pub const RELEASED: i32 = 1;

fn is_released(lease: &LeaseSpec) -> bool {
    holder(lease).is_none() && lease.lease_duration_seconds == Some(RELEASED)
}

/// Who holds a lease.
#[must_use]
pub fn holder(lease: &LeaseSpec) -> Option<&str> {
    lease.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long a lease is believed.
pub(super) fn duration(lease: &LeaseSpec) -> Duration {
    let said = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    said.unwrap_or(DURATION).clamp(Duration::from_secs(1), LONGEST)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use k8s_openapi::jiff::{Span, Timestamp};

    use super::*;

    fn lease(holder: &str, renewed: i64, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH + Span::new().seconds(renewed))),
            ..LeaseSpec::default()
        }
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_written_in_the_last_moment_arrives_before_the_lease_has_run_out() {
        assert!(MAY_WRITE + ON_ITS_WAY < DURATION && MAY_WRITE + DEADLINE < DURATION);
    }

    #[test]
    fn a_clock_that_is_off_by_an_hour_changes_nothing() {
        const HOUR: i64 = 3_600;
        for off in [-HOUR, HOUR] {
            let (mut candidate, now) = (Candidate::default(), Instant::now());
            assert_eq!(candidate.look(Some(&lease("a", 10_000 + off, 5)), now), Turn::Wait(seconds(5)));
            // it renews, and nobody takes what it holds
            let renewed = lease("a", 10_002 + off, 5);
            assert_eq!(candidate.look(Some(&renewed), now + seconds(2)), Turn::Wait(seconds(5)));
            // it dies, and nobody waits an hour for it
            assert_eq!(candidate.look(Some(&renewed), now + seconds(7)), Turn::Take);
        }
    }

    #[test]
    fn a_lease_that_nobody_changes_runs_out_by_our_own_clock() {
        let (mut candidate, now) = (Candidate::default(), Instant::now());
        // its times are of 1970: by them it would have run out long ago
        assert_eq!(candidate.look(Some(&lease("a", 0, 5)), now), Turn::Wait(seconds(5)));
        assert_eq!(candidate.look(Some(&lease("a", 0, 5)), now + seconds(4)), Turn::Wait(seconds(1)));
        assert_eq!(candidate.look(Some(&lease("a", 0, 5)), now + seconds(5)), Turn::Take);
    }

    #[test]
    fn each_renewal_begins_the_wait_anew_whatever_its_times_say() {
        let (mut candidate, now) = (Candidate::default(), Instant::now());
        assert_eq!(candidate.look(Some(&lease("a", 9_000, 5)), now), Turn::Wait(seconds(5)));
        // the holder's clock was set back
        assert_eq!(candidate.look(Some(&lease("a", 10, 5)), now + seconds(4)), Turn::Wait(seconds(5)));
        assert_eq!(candidate.look(Some(&lease("b", 10, 5)), now + seconds(8)), Turn::Wait(seconds(5)));
    }

    #[test]
    fn what_nobody_holds_is_taken_at_once_and_what_is_not_there_is_made() {
        let (mut candidate, now) = (Candidate::default(), Instant::now());
        assert_eq!(candidate.look(None, now), Turn::Create);
        assert_eq!(candidate.look(Some(&lease("", 0, 1)), now), Turn::Take);
        assert_eq!(candidate.look(Some(&LeaseSpec::default()), now), Turn::Take);
    }

    #[test]
    fn whoever_held_what_vanished_is_waited_for_unless_he_has_left_it() {
        let (mut candidate, now) = (Candidate::default(), Instant::now());
        candidate.look(Some(&lease("a", 0, 5)), now);
        assert_eq!(candidate.look(None, now + seconds(2)), Turn::Wait(seconds(3)));
        assert_eq!(candidate.look(Some(&lease("", 0, 5)), now + seconds(3)), Turn::Wait(seconds(2)));
        assert_eq!(candidate.look(Some(&lease("", 0, RELEASED)), now + seconds(4)), Turn::Take);
        assert_eq!(candidate.look(None, now + seconds(5)), Turn::Create);
    }

    #[test]
    fn a_record_with_an_absurd_duration_keeps_nobody_away_for_ever() {
        let (mut candidate, now) = (Candidate::default(), Instant::now());
        assert_eq!(candidate.look(Some(&lease("a", 0, i32::MAX)), now), Turn::Wait(LONGEST));
        assert_eq!(candidate.look(Some(&lease("b", 0, -1)), now), Turn::Wait(DURATION));
    }
}

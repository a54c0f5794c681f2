//! The time by which dates count: the API server's.
//!
//! A node whose clock is an hour ahead would close a gate an hour early, and the next leader, on another node, would open it
//! again. So the operator looks at the API server's clock now and then, and goes on from there by the clock that nobody sets:
//! a step of the machine's clock moves no date. It is one for the whole process, as the system's own clock is.

use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A moment by the clock that nobody sets, and the API server's time then, since it was looked at first.
static KNOWN: RwLock<Option<(Instant, Timestamp)>> = RwLock::new(None);

/// The time by the API server's clock, as far as it is known.
#[must_use]
pub fn now() -> Timestamp {
    let known = *KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.map_or_else(Timestamp::now, |(at, time)| carried_on(at, time, Instant::now()))
}

fn carried_on(at: Instant, time: Timestamp, now: Instant) -> Timestamp {
    let passed = SignedDuration::try_from(now.saturating_duration_since(at)).unwrap_or_default();
    time.saturating_add(passed).unwrap_or(time)
}

/// The API server's clock is so far ahead of [`now`]: it goes on from there. The answer is how far the API server's clock is
/// ahead of the machine's.
pub fn put_right(by: SignedDuration) -> SignedDuration {
    let time = now().saturating_add(by).unwrap_or_else(|_| now());
    *KNOWN.write().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), time));
    time.duration_since(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_from_where_it_was_known() {
        let (at, time) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let later = carried_on(at, time, at + Duration::from_millis(1500));
        assert_eq!(later, Timestamp::from_millisecond(1500).unwrap());
        assert_eq!(carried_on(at + Duration::from_secs(1), time, at), time, "it never goes back");
    }
}

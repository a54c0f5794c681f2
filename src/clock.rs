//! The time by which dates count: the API server's.
//!
//! A node whose clock is an hour ahead would close a gate an hour early, and the next leader, on another node, would open it
//! again. So the operator looks at the API server's clock now and then, and every date is compared with that. It is one for
//! the whole process, as the system's own clock is.

use std::sync::atomic::{AtomicI64, Ordering};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Milliseconds that the API server's clock is ahead of ours.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The time by the API server's clock, as far as it is known.
#[must_use]
pub fn now() -> Timestamp {
    let (here, ahead) = (Timestamp::now(), SignedDuration::from_millis(AHEAD.load(Ordering::Relaxed)));
    here.saturating_add(ahead).unwrap_or(here)
}

/// From now on the API server's clock is known to be so far ahead of ours; the answer is what was known before.
pub fn set_ahead(ahead: SignedDuration) -> SignedDuration {
    let milliseconds = i64::try_from(ahead.as_millis()).unwrap_or_default();
    SignedDuration::from_millis(AHEAD.swap(milliseconds, Ordering::Relaxed))
}

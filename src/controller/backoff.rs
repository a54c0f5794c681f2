//! Pauses between tries of one object: growing, with jitter, forgotten on success.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);

/// Failed tries by object. kube's error policy gets no count of its own.
pub struct Backoff<K> {
    tries: Mutex<HashMap<K, u32>>,
    jitter: RandomState,
}

impl<K: Eq + Hash + Clone> Default for Backoff<K> {
    fn default() -> Self {
        Self { tries: Mutex::default(), jitter: RandomState::new() }
    }
}

impl<K: Eq + Hash + Clone> Backoff<K> {
    /// The pause after one more failure.
    pub fn failed(&self, key: &K) -> Duration {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tries.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let pause = FIRST.saturating_mul(1 << (*count - 1).min(10)).min(LONGEST);
        // three quarters to one whole, so that objects that failed together do not come back together
        let part = u32::try_from(self.jitter.hash_one((key, *count)) % 256).unwrap_or(0);
        pause * 3 / 4 + pause / 4 * part / 256
    }

    /// A success.
    pub fn succeeded(&self, key: &K) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_are_forgotten() {
        let backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.failed(&"a")).collect();
        assert!(pauses[0] >= FIRST * 3 / 4 && pauses[0] <= FIRST);
        assert!(pauses[4] > pauses[0] * 8);
        assert!(pauses[11] <= LONGEST);
        backoff.succeeded(&"a");
        assert!(backoff.failed(&"a") <= FIRST);
    }
}

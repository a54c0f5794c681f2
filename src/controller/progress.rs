//! Progress is told in steps: what only counts on is written a while after the last write, with all that came meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long after a write the next one that only counts on waits.
const PAUSE: Duration = Duration::from_secs(1);

/// When the status of each path was written last.
#[derive(Default)]
pub struct Progress(Mutex<HashMap<String, Instant>>);

impl Progress {
    /// How long what only counts on has to wait.
    pub fn wait(&self, path: &str, now: Instant) -> Option<Duration> {
        let since = now.saturating_duration_since(*self.all().get(path)?);
        PAUSE.checked_sub(since).filter(|wait| !wait.is_zero())
    }

    /// Remembers a write.
    pub fn written(&self, path: &str, now: Instant) {
        self.all().insert(path.to_owned(), now);
    }

    /// Forgets a path that is gone.
    pub fn forget(&self, path: &str) {
        self.all().remove(path);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_counts_on_waits_for_the_rest_of_the_pause_of_its_path() {
        let (progress, now) = (Progress::default(), Instant::now());
        assert_eq!(progress.wait("a", now), None);
        progress.written("a", now);
        assert_eq!(progress.wait("a", now + PAUSE / 4), Some(PAUSE * 3 / 4));
        assert_eq!(progress.wait("a", now + PAUSE), None);
        assert_eq!(progress.wait("b", now), None);
        progress.forget("a");
        assert_eq!(progress.wait("a", now), None);
    }
}

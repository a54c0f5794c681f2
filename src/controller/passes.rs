//! The passes that run now: one that lets go of its thread no more is found, since no deadline ends it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::errors::LONGEST;

/// A pass that runs for so long is not waiting for anything: its deadline, which it meets at its next wait, is over.
const STUCK: Duration = LONGEST.saturating_add(Duration::from_mins(1));
/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(10);

static ALL: Passes = Passes(Mutex::new(Running { begun: 0, since: BTreeMap::new() }));

struct Passes(Mutex<Running>);

struct Running {
    begun: u64,
    since: BTreeMap<u64, Instant>,
}

/// One that runs, until this is dropped.
pub struct Pass(u64);

impl Pass {
    /// It begins now.
    pub fn begin() -> Self {
        Self(ALL.begin(Instant::now()))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        ALL.end(self.0);
    }
}

impl Passes {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, now: Instant) -> u64 {
        let mut running = self.running();
        running.begun += 1;
        let number = running.begun;
        running.since.insert(number, now);
        number
    }

    fn end(&self, number: u64) {
        self.running().since.remove(&number);
    }

    /// For how long the oldest has run, if it is stuck.
    fn stuck(&self, now: Instant) -> Option<Duration> {
        // numbers and times grow alike
        let (_, since) = self.running().since.first_key_value().map(|(number, since)| (*number, *since))?;
        Some(now.saturating_duration_since(since)).filter(|age| *age > STUCK)
    }
}

/// Resolves when a pass is stuck.
pub async fn stuck() -> Duration {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(age) = ALL.stuck(Instant::now()) {
            return age;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pass_that_has_not_ended_tells_whether_one_is_stuck() {
        let passes = Passes(Mutex::new(Running { begun: 0, since: BTreeMap::new() }));
        let start = Instant::now();
        let (first, later) = (passes.begin(start), start + Duration::from_secs(30));
        passes.begin(later);
        assert_eq!(passes.stuck(start + STUCK), None);
        let soon = start + STUCK + Duration::from_secs(1);
        assert_eq!(passes.stuck(soon), Some(STUCK + Duration::from_secs(1)));
        passes.end(first);
        assert_eq!(passes.stuck(soon), None);
        assert!(passes.stuck(later + STUCK * 2).is_some());
    }
}

//! Whose turn it is to restart: few workloads of a path at the same time, and none twice within a minute.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::health::DEADLINE;

/// How many workloads of a path restart at the same time, where the path does not say so.
pub const DEFAULT: i32 = 10;
/// No workload is asked to restart twice in this time, however often its path changes.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// The restarts of one path. `K` names a workload.
#[derive(Clone, Debug)]
pub struct Restarts<K> {
    asked: BTreeMap<K, Asked>,
    waiting: BTreeSet<K>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Timestamp,
    restarts: bool,
}

impl<K> Default for Restarts<K> {
    fn default() -> Self {
        Self { asked: BTreeMap::new(), waiting: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Restarts<K> {
    /// Takes a turn, if it has come. Else the answer is when to ask again at the latest.
    pub fn begin(&mut self, key: &K, most: i32, now: Timestamp) -> Result<(), SignedDuration> {
        let since = |at: Timestamp| now.duration_since(at);
        // one that never ends keeps nobody waiting for ever
        self.asked.retain(|_, asked| since(asked.at) < if asked.restarts { DEADLINE } else { PAUSE });
        if let Some(asked) = self.asked.get(key) {
            return Err(PAUSE.checked_sub(since(asked.at)).unwrap_or(PAUSE).max(SignedDuration::from_secs(1)));
        }
        let restarting = self.asked.values().filter(|asked| asked.restarts).count();
        if restarting >= usize::try_from(most).unwrap_or(1) {
            self.waiting.insert(key.clone());
            return Err(PAUSE);
        }
        self.waiting.remove(key);
        self.asked.insert(key.clone(), Asked { at: now, restarts: true });
        Ok(())
    }

    /// Takes in whether a workload rolls out still, and when an operator before had asked for that, if one has. The answer is
    /// who may ask again.
    pub fn look(&mut self, key: &K, rolls_out: bool, asked_at: Option<Timestamp>, now: Timestamp) -> Option<K> {
        match (self.asked.get_mut(key), asked_at) {
            (Some(asked), _) if asked.restarts && !rolls_out => asked.restarts = false,
            (None, Some(at)) if rolls_out && now.duration_since(at) < DEADLINE => {
                self.asked.insert(key.clone(), Asked { at, restarts: true });
                return None;
            }
            _ => return None,
        }
        self.waiting.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn as_many_as_permitted_restart_and_the_next_comes_when_one_is_done() {
        let mut restarts = Restarts::default();
        assert!(["a", "b"].iter().all(|key| restarts.begin(key, 2, at(0)).is_ok()));
        assert_eq!(restarts.begin(&"c", 2, at(1)), Err(PAUSE));
        assert_eq!(restarts.look(&"a", true, None, at(2)), None);
        assert_eq!(restarts.look(&"a", false, None, at(3)), Some("c"));
        assert_eq!(restarts.look(&"a", false, None, at(4)), None);
        assert_eq!(restarts.begin(&"c", 2, at(5)), Ok(()));
        assert_eq!(restarts.begin(&"d", 2, at(6)), Err(PAUSE));
    }

    #[test]
    fn nobody_restarts_twice_within_a_minute() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.begin(&"a", 1, at(0)), Ok(()));
        restarts.look(&"a", false, None, at(5));
        assert_eq!(restarts.begin(&"a", 1, at(20)), Err(SignedDuration::from_secs(40)));
        assert_eq!(restarts.begin(&"a", 1, at(60)), Ok(()));
    }

    #[test]
    fn what_an_operator_before_had_asked_for_counts() {
        let mut restarts = Restarts::default();
        restarts.look(&"a", true, Some(at(0)), at(0));
        assert_eq!(restarts.begin(&"b", 1, at(1)), Err(PAUSE));
        assert_eq!(restarts.look(&"a", false, None, at(2)), Some("b"));
    }

    #[test]
    fn a_rollout_that_nobody_asked_for_lately_takes_no_turn() {
        let mut restarts = Restarts::default();
        restarts.look(&"a", true, None, at(0));
        restarts.look(&"b", true, Some(at(-600)), at(0));
        assert_eq!(restarts.begin(&"c", 1, at(0)), Ok(()));
    }

    #[test]
    fn one_that_never_ends_keeps_nobody_waiting_for_ever() {
        let mut restarts = Restarts::default();
        assert_eq!(restarts.begin(&"a", 1, at(0)), Ok(()));
        assert_eq!(restarts.begin(&"b", 1, at(599)), Err(PAUSE));
        assert_eq!(restarts.begin(&"b", 1, at(600)), Ok(()));
    }
}

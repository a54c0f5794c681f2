//! Whether this process leads. Every write asks; what would write without leading waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Whether this process leads, and what it is writing. Clones share it.
#[derive(Clone)]
pub struct Leadership(Arc<Inner>);

struct Inner {
    term: watch::Sender<Term>,
    writes: TaskTracker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// It has not led yet.
    Follows,
    /// It leads until then, by the clock that nobody sets.
    Until(Instant),
    /// It leads whatever happens: nobody else is there.
    Alone,
    /// It has led, and will not again: it is about to end.
    Over,
}

impl Term {
    fn holds(self, now: Instant) -> bool {
        match self {
            Self::Alone => true,
            Self::Until(end) => now < end,
            Self::Follows | Self::Over => false,
        }
    }
}

impl Leadership {
    /// Of the only replica.
    #[must_use]
    pub fn alone() -> Self {
        Self::new(Term::Alone)
    }

    /// Of one of several, which follows until it is elected.
    #[must_use]
    pub fn elected() -> Self {
        Self::new(Term::Follows)
    }

    fn new(term: Term) -> Self {
        Self(Arc::new(Inner { term: watch::Sender::new(term), writes: TaskTracker::new() }))
    }

    /// Whether it has led. It is a process's last word: who loses the lease ends.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.term.borrow() != Term::Follows
    }

    /// Resolves when it leads for the first time.
    pub async fn begun(&self) {
        // the sender lives in `self`
        let _ = self.0.term.subscribe().wait_for(|term| *term != Term::Follows).await;
    }

    /// The right to one write, as long as the answer lives. Resolves when it leads, and never if it will not again.
    pub async fn write(&self) -> TaskTrackerToken {
        let mut term = self.0.term.subscribe();
        loop {
            // the token first: who ends the term waits for all that were given
            let token = self.0.writes.token();
            if term.borrow_and_update().holds(Instant::now()) {
                return token;
            }
            drop(token);
            let _ = term.changed().await;
        }
    }

    /// It leads, until then.
    pub(super) fn extend(&self, until: Instant) {
        self.0.term.send_replace(Term::Until(until));
    }

    /// It writes nothing more. Resolves when what it was writing is done, or after `patience`.
    pub(super) async fn end(&self, patience: Duration) {
        self.0.term.send_replace(Term::Over);
        self.0.writes.close();
        let _ = tokio::time::timeout(patience, self.0.writes.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_follower_writes_when_it_is_elected() {
        let leadership = Leadership::elected();
        assert!(!leadership.has_begun());
        let (writes, begins) = (leadership.write(), leadership.begun());
        let (mut writes, mut begins) = (std::pin::pin!(writes), std::pin::pin!(begins));
        assert!((&mut writes).now_or_never().is_none() && (&mut begins).now_or_never().is_none());
        leadership.extend(Instant::now() + Duration::from_mins(1));
        let _token = writes.await;
        begins.await;
    }

    #[tokio::test]
    async fn a_term_that_runs_out_stops_writes_until_it_is_extended() {
        let leadership = Leadership::elected();
        leadership.extend(Instant::now() + SOON);
        tokio::time::sleep(SOON).await;
        assert!(leadership.has_begun());
        let mut writes = std::pin::pin!(leadership.write());
        assert!((&mut writes).now_or_never().is_none());
        leadership.extend(Instant::now() + Duration::from_mins(1));
        let _token = writes.await;
    }

    #[tokio::test]
    async fn the_end_waits_for_what_is_being_written_and_lets_nothing_begin() {
        let leadership = Leadership::alone();
        let token = leadership.write().await;
        let mut end = std::pin::pin!(leadership.end(Duration::from_mins(1)));
        assert!((&mut end).now_or_never().is_none());
        assert!(leadership.write().now_or_never().is_none() && leadership.has_begun());
        drop(token);
        end.await;
    }
}

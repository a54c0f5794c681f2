//! Whether this process leads. Every write asks; what would write without leading waits.

use std::sync::{Arc, OnceLock};
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
    began: OnceLock<Instant>,
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
    fn has_begun(self) -> bool {
        matches!(self, Self::Until(_) | Self::Alone)
    }

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
        let began = OnceLock::new();
        if term == Term::Alone {
            began.get_or_init(Instant::now);
        }
        Self(Arc::new(Inner { term: watch::Sender::new(term), writes: TaskTracker::new(), began }))
    }

    /// Whether its term has begun, and is not over.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.term.borrow().has_begun()
    }

    /// How long ago its term began. What stood still until then is as after a start.
    #[must_use]
    pub fn leads_for(&self) -> Duration {
        self.0.began.get().map(Instant::elapsed).unwrap_or_default()
    }

    /// Resolves when it leads for the first time.
    pub async fn begun(&self) {
        // the sender lives in `self`
        let _ = self.0.term.subscribe().wait_for(|term| term.has_begun()).await;
    }

    /// One write: begun when it leads, and given up, which is the answer without a value, when the term runs out meanwhile.
    pub async fn writing<T>(&self, write: impl Future<Output = T>) -> Option<T> {
        let _token = self.write().await;
        tokio::select! {
            biased; // one that was stopped in the middle must not send what it was about to
            () = self.lapsed() => None,
            written = write => Some(written),
        }
    }

    /// Resolves when the term runs out without having been extended. What is being written is given up then, since the next
    /// leader may begin; at an end that was asked for it is waited for.
    async fn lapsed(&self) {
        let mut term = self.0.term.subscribe();
        loop {
            let now = *term.borrow_and_update();
            match now {
                Term::Until(end) if !now.holds(Instant::now()) => {
                    tracing::warn!(ago = ?end.elapsed(), "the term has run out");
                    return;
                }
                Term::Until(end) => {
                    let _ = tokio::time::timeout_at(end.into(), term.changed()).await;
                }
                Term::Follows | Term::Alone | Term::Over => {
                    let _ = term.changed().await;
                }
            }
        }
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
        self.0.began.get_or_init(Instant::now);
        self.0.term.send_replace(Term::Until(until));
    }

    /// It writes nothing more. Resolves when what it was writing is done, or after `patience` or its term, whichever is over
    /// first; the answer is whether it is.
    pub(super) async fn end(&self, patience: Duration) -> bool {
        let patience = match self.0.term.send_replace(Term::Over) {
            Term::Until(end) => end.saturating_duration_since(Instant::now()).min(patience),
            Term::Follows | Term::Alone | Term::Over => patience,
        };
        self.0.writes.close();
        tokio::time::timeout(patience, self.0.writes.wait()).await.is_ok()
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
    async fn an_end_waits_for_no_write_beyond_the_term() {
        let leadership = Leadership::elected();
        leadership.extend(Instant::now() + SOON);
        let _token = leadership.write().await;
        let ended = tokio::time::timeout(Duration::from_secs(10), leadership.end(Duration::from_mins(1))).await;
        assert_eq!(ended, Ok(false));
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
        assert!(leadership.write().now_or_never().is_none() && leadership.begun().now_or_never().is_none());
        drop(token);
        assert!(end.await);
    }

    #[tokio::test]
    async fn what_is_being_written_is_given_up_when_the_term_runs_out_and_not_before() {
        let leadership = Leadership::elected();
        leadership.extend(Instant::now() + SOON * 2);
        let mut lapsed = std::pin::pin!(leadership.lapsed());
        assert!(tokio::time::timeout(SOON, &mut lapsed).await.is_err());
        leadership.extend(Instant::now() + SOON * 4);
        assert!(tokio::time::timeout(SOON * 2, &mut lapsed).await.is_err());
        lapsed.await;
        let other = leadership.clone();
        assert!(!other.end(Duration::ZERO).await || other.lapsed().now_or_never().is_none());
    }
}

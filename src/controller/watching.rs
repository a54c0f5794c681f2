//! Watches of kube, which come back soon after the API server does.
//!
//! kube's own pauses grow to a minute, so that an operator that was blind for five seconds stayed so for another ten.

use std::time::Duration;

use futures::{Stream, StreamExt, future};
use kube::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Error, Event, ExponentialBackoff};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::fleet;

/// A server that forgets a version within so long after it has forgotten another is given time.
const AGAIN: Duration = Duration::from_secs(10);
/// When nothing has failed for so long, the pauses start anew.
const CALM: Duration = Duration::from_secs(10);

/// The pauses after failures.
pub fn pauses() -> impl Backoff + 'static {
    Pauses { pauses: fleet::pauses().into(), over: None }
}

/// Pauses that start anew when nothing has failed for a while. kube would start them anew with every good event, such as the
/// one by which it says that a list begins: a list that fails each time would be asked for once a second for ever.
struct Pauses {
    pauses: ExponentialBackoff,
    /// When the last one is over.
    over: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.over.is_some_and(|over| over.elapsed() > CALM) {
            self.pauses.reset();
        }
        let pause = self.pauses.next()?;
        self.over = Some(Instant::now() + pause);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {}
}

/// What a watch sees, without pauses.
pub fn events<K>(api: Api<K>, config: Config) -> impl Stream<Item = Result<Event<K>, Error>> + Send
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    without_expiries(watcher(api, config))
}

/// A server that was started anew remembers no version from before. That is no failure: kube lists at once where nothing
/// stops it, and a failure would be a pause for all that a controller does.
fn without_expiries<T>(
    events: impl Stream<Item = Result<T, Error>> + Send,
) -> impl Stream<Item = Result<T, Error>> + Send
where
    T: Send,
{
    let mut last: Option<Instant> = None;
    events.filter(move |event| {
        let expired = matches!(event, Err(Error::WatchError(status)) if status.code == 410);
        let passed_over = expired && last.is_none_or(|last| last.elapsed() >= AGAIN);
        if passed_over {
            last = Some(Instant::now());
        }
        future::ready(!passed_over)
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use kube::core::Status;
    use kube::runtime::WatchStreamExt;

    use super::*;

    fn status(code: u16) -> Result<u32, Error> {
        Err(Error::WatchError(Box::new(Status::failure("", "").with_code(code))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_was_forgotten_is_no_failure_unless_it_is_so_again_at_once() {
        let seen = async |pause: Duration| {
            let events =
                stream::iter([status(410), Ok(1), status(410), Ok(2), status(500)]).then(move |event| async move {
                    tokio::time::sleep(pause).await;
                    event
                });
            without_expiries(events).map(Result::ok).collect::<Vec<_>>().await
        };
        assert_eq!(seen(Duration::from_secs(6)).await, [Some(1), Some(2), None]);
        assert_eq!(seen(Duration::from_secs(1)).await, [Some(1), None, Some(2), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_each_time_is_asked_for_at_growing_pauses() {
        let began = Instant::now();
        // kube says that a list begins, and then that it failed
        let events = stream::iter((0..40).flat_map(|_| [Ok(0), status(403)]));
        assert_eq!(events.backoff(pauses()).count().await, 80);
        assert!(began.elapsed() > Duration::from_secs(40 * 2), "{:?}", began.elapsed());
    }

    #[test]
    fn pauses_stay_in_proportion_to_the_time_away_and_end_at_six_seconds() {
        let (mut away, mut pauses) = (Duration::ZERO, pauses());
        for _ in 0..40 {
            let pause = pauses.next().unwrap();
            let most = Duration::from_millis(1_010) + away * 2 / 5;
            assert!(pause <= most.min(Duration::from_secs(6)), "{pause:?} after {away:?}");
            away += pause;
        }
        assert!(away > Duration::from_mins(1), "{away:?}");
    }
}

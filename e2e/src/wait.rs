//! Waiting for conditions instead of sleeping.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(250);

/// Asks `check` again and again until it answers `Some`.
///
/// An `Err` means "not yet, and this is what I saw": most are passing (a refused connection, an object that is
/// not there yet), so only the last one is kept, for the message. Give up early by a value that says so.
///
/// # Errors
/// After `timeout`, also when one single check hangs: names `what` and the last thing seen.
pub async fn until<T, F, Checked>(what: &str, timeout: Duration, mut check: F) -> Result<T>
where
    F: FnMut() -> Checked,
    Checked: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + timeout;
    let mut pause = SHORTEST;
    let mut seen = "nothing".to_owned();
    loop {
        match timeout_at(deadline, check()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => "not yet".clone_into(&mut seen),
            Ok(Err(error)) => seen = format!("{error:#}"),
            Err(_) => seen = format!("a check that hangs, before it: {seen}"),
        }
        if Instant::now() + pause >= deadline {
            return Err(anyhow!("waited {timeout:?} for {what}; last seen: {seen}"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn value_ends_the_wait() {
        let mut left = 5;
        let value = until("five checks", Duration::from_mins(1), || {
            left -= 1;
            std::future::ready(Ok((left == 0).then_some("done")))
        });
        assert_eq!(value.await.unwrap(), "done");
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_names_the_condition_and_what_was_seen_last() {
        let check = || std::future::ready(Err::<Option<()>, _>(anyhow!("2 of 3 replicas")));
        let error = until("a ready Deployment", Duration::from_secs(3), check).await.unwrap_err();
        assert_eq!(error.to_string(), "waited 3s for a ready Deployment; last seen: 2 of 3 replicas");
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_check_ends_at_the_timeout() {
        let error =
            until("an answer", Duration::from_secs(3), std::future::pending::<Result<Option<()>>>).await.unwrap_err();
        assert!(error.to_string().contains("a check that hangs"), "{error}");
    }
}

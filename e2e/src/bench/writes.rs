//! Requests that a benchmark sends itself: many of a kind, so many at a time, with a word on how far they are.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::Value;

use super::fleet::{Fleet, name};
use super::stats::amount;

/// Sends requests for every item, `concurrency` at a time, and stops at the first failure.
///
/// # Errors
/// When one fails.
pub async fn each<T, Done>(
    items: impl IntoIterator<Item = T>,
    concurrency: usize,
    send: impl Fn(T) -> Done,
) -> Result<()>
where
    Done: Future<Output = Result<()>>,
{
    stream::iter(items).map(Ok).try_for_each_concurrent(concurrency, send).await
}

/// Path of a Deployment, or of one of its subresources.
#[must_use]
pub fn deployment(fleet: &Fleet, workload: usize, subresource: &str) -> String {
    format!("/apis/apps/v1/namespaces/{}/deployments/{}{subresource}", fleet.namespace_of(workload), name(workload))
}

/// Sends a body with a content type; the answer is text that nobody looks at.
///
/// # Errors
/// When it is refused.
pub async fn send(client: &Client, method: http::Method, path: &str, kind: &str, body: &Value) -> Result<()> {
    let request = http::Request::builder().method(&method).uri(path).header("content-type", kind);
    let sent = client.request_text(request.body(serde_json::to_vec(body)?)?).await;
    sent.map(drop).with_context(|| format!("{method} {path}"))
}

/// Creates an object.
///
/// # Errors
/// When it is refused.
pub async fn create(client: &Client, path: &str, object: &Value) -> Result<()> {
    send(client, http::Method::POST, path, "application/json", object).await
}

/// Merges into an object.
///
/// # Errors
/// When it is refused.
pub async fn merge(client: &Client, path: &str, changes: &Value) -> Result<()> {
    send(client, http::Method::PATCH, path, "application/merge-patch+json", changes).await
}

/// Says how far many requests are, every few seconds.
pub struct Progress {
    what: &'static str,
    total: usize,
    started: Instant,
    said: Instant,
    done: usize,
}

impl Progress {
    /// Nothing is done yet.
    #[must_use]
    pub fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, started: Instant::now(), said: Instant::now(), done: 0 }
    }

    /// One more is done.
    pub fn one(&mut self) {
        self.done += 1;
        if self.said.elapsed() > Duration::from_secs(5) || self.done == self.total {
            self.said = Instant::now();
            eprintln!("bench: {}", line(self.what, self.done, self.total, self.started.elapsed()));
        }
    }
}

/// The rate is that since the start: a rate of the last seconds would make the estimate jump.
fn line(what: &str, done: usize, total: usize, elapsed: Duration) -> String {
    let (rate, left) = (amount(done) / elapsed.as_secs_f64(), amount(total - done));
    if done == total {
        return format!("{total} {what} in {:.0} s ({rate:.0}/s)", elapsed.as_secs_f64());
    }
    format!("{done} of {total} {what}, {rate:.0}/s, about {:.0} s left", left / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_estimates_by_the_rate_so_far() {
        let after = Duration::from_secs(10);
        assert_eq!(line("Deployments", 1_000, 4_000, after), "1000 of 4000 Deployments, 100/s, about 30 s left");
        assert_eq!(line("Deployments", 4_000, 4_000, after), "4000 Deployments in 10 s (400/s)");
    }
}

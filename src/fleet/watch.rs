//! One watch: list, then follow, for ever. Each resource has its own, with its own connection, backoff and gate, since one
//! that fails must not slow the others.
//!
//! A list is streamed where the server can do that (KEP-3157): one object is in memory at a time, here and there. The
//! version to list at is left out, so that the answer is as new as the last write; kube's watcher asks for "0", which an
//! API server that lags behind may answer with the past.

use std::pin::Pin;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::io::{AsyncBufRead, AsyncReadExt};
use kube::Client;
use tokio::time::{Instant, timeout_at};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::{ErrorFrame, Frame, Meta, Page, RawFrame};
use super::errors::{Skipped, WatchError};
use super::lines::{Line, Lines};

/// How long the server keeps one watch open. Short, since it is by its end that a dead connection is noticed.
const WATCH_SECONDS: u32 = 25;
/// A server that says nothing for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(30);
/// A watch that has not ended by then is given up, whatever it says: what comes at a drip is older with every line.
const OVERDUE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 5);
/// Objects in a page, where lists are not streamed: about 2 MB.
const PAGE: u32 = 250;
/// A streamed list of 100,000 workloads takes some ten seconds; this bounds one that never ends.
const LIST_SECONDS: u32 = 600;
/// A connection that held for so long was a good one: what ends it starts the pauses from the shortest again.
const HELD: Duration = Duration::from_secs(10);
/// The first pause after a failure.
const SHORTEST: Duration = Duration::from_millis(500);
/// Each pause is longer than the last one by a fifth, so that it is about a fifth of the time that the server was away.
const GROWTH: f32 = 1.2;
/// The longest one, which jitter makes up to twice as long: an API server that is back is heard from within so long.
const LONGEST: Duration = Duration::from_secs(3);
/// The longest one while a right lacks, or a kind, doubled like the other: people who have given it back wait for an answer.
const LASTS: Duration = Duration::from_secs(5);
/// A list that failed is not repeated sooner than it took, up to so long: a server that says nothing has no costs.
const COSTLY: Duration = Duration::from_secs(10);
/// No watch is asked for sooner after the last one.
const BRIEF: Duration = Duration::from_secs(1);
/// For so long a list that is older than what was seen is taken for the answer of a server that lags behind.
const LAGS: Duration = Duration::from_mins(1);

/// Where a watch puts what it sees of its one resource.
pub trait Sink: Send + Sync {
    /// What is read of every object.
    type Object<'a>: Deserialize<'a> + Meta;

    /// The name of the resource.
    fn name(&self) -> &str;
    /// Where all of its objects are listed.
    fn url(&self) -> String;
    /// The server said something.
    fn heard(&self);
    /// The watch failed. It begins again after a pause.
    fn failed(&self, error: &WatchError);
    /// A list begins.
    fn begin(&self);
    /// An object was added, changed or listed. `raw` is the whole of it.
    fn see<'a>(&self, object: &Self::Object<'_>, raw: impl FnOnce() -> Option<&'a RawValue>);
    /// An object was deleted.
    fn remove(&self, object: &Self::Object<'_>);
    /// A line that says nothing about an object that can be taken in.
    fn skip(&self, why: Skipped);
    /// A list is complete, at that version.
    fn complete(&self, version: u64);
    /// The whole cluster was set back to an older version.
    fn set_back(&self);
}

/// The watch of one resource.
pub struct Watch<S> {
    sink: S,
    client: Client,
    lines: Lines,
    /// The version to follow from.
    position: Option<String>,
    /// The newest version that the server has told.
    newest: u64,
    /// Since when lists have been older than that.
    behind: Option<Instant>,
    /// The server streams lists.
    streams: bool,
}

impl<S: Sink> Watch<S> {
    /// Not started yet.
    pub fn new(sink: S, client: Client) -> Self {
        Self { sink, client, lines: Lines::default(), position: None, newest: 0, behind: None, streams: true }
    }

    /// Lists and follows.
    pub async fn run(mut self) {
        let (mut pauses, mut for_people) = (pauses().build(), lasting());
        loop {
            let started = Instant::now();
            let listing = self.position.is_none();
            let result = if listing { self.list().await } else { self.follow().await };
            let Err(error) = result else {
                (pauses, for_people) = (self::pauses().build(), lasting());
                continue;
            };
            if started.elapsed() > HELD && !listing {
                pauses = self::pauses().build();
            }
            self.sink.failed(&error);
            tracing::warn!(resource = self.sink.name(), reason = error.reason(), %error, "a watch failed");
            let lasts = error.lasts();
            match error {
                // the server is there, and everything is listed again
                WatchError::Expired if !listing => (self.position, pauses) = (None, self::pauses().build()),
                WatchError::NotStreamed if self.streams => {
                    self.streams = false;
                    continue;
                }
                _ => {}
            }
            // a list that failed late has cost the server as much as one that did not
            let spent = if listing { started.elapsed().min(COSTLY) } else { Duration::ZERO };
            let pause = if lasts { for_people.next() } else { pauses.next() };
            tokio::time::sleep(pause.unwrap_or(LONGEST).max(spent)).await;
        }
    }

    async fn list(&mut self) -> Result<(), WatchError> {
        self.sink.begin();
        let version = if self.streams { self.streamed_list().await? } else { self.paged_list().await? };
        let number = self.number(&version)?;
        self.sink.complete(number);
        self.position = Some(version);
        Ok(())
    }

    async fn streamed_list(&mut self) -> Result<String, WatchError> {
        let query = format!(
            "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true\
             &timeoutSeconds={LIST_SECONDS}"
        );
        let mut body = self.open(&query).await?;
        loop {
            match self.line(&mut body).await? {
                Some(Told::End(version)) => return Ok(version),
                Some(_) => {}
                None => return Err(WatchError::Truncated),
            }
        }
    }

    async fn paged_list(&mut self) -> Result<String, WatchError> {
        let mut next = String::new();
        loop {
            let mut body = self.open(&format!("limit={PAGE}&continue={next}")).await?;
            let mut text = Vec::new();
            within(body.read_to_end(&mut text)).await?.map_err(WatchError::Connection)?;
            let page: Page<'_> = serde_json::from_slice(&text).map_err(|_| WatchError::Truncated)?;
            for item in page.items.iter().flatten() {
                match serde_json::from_str::<S::Object<'_>>(item.get()) {
                    Ok(object) => self.sink.see(&object, || Some(item)),
                    Err(_) => self.sink.skip(Skipped::Malformed),
                }
            }
            self.sink.heard();
            match page.metadata.next.filter(|next| !next.is_empty()) {
                Some(more) => next = more,
                None => return Ok(page.metadata.resource_version),
            }
        }
    }

    async fn follow(&mut self) -> Result<(), WatchError> {
        let from = self.position.clone().unwrap_or_default();
        let query =
            format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={from}");
        let started = Instant::now();
        let mut body = self.open(&query).await?;
        let mut told = false;
        let overdue = |_| WatchError::Overdue(OVERDUE);
        while let Some(line) = timeout_at(started + OVERDUE, self.line(&mut body)).await.map_err(overdue)?? {
            told = true;
            // a line without a version, or from the past, must not move the watch: "" means from now on, and what went in
            // between would stay counted for ever
            if let Told::At(version) | Told::End(version) = line
                && let Ok(number) = version.parse::<u64>()
                && number >= self.newest
            {
                (self.newest, self.position) = (number, Some(version));
            }
        }
        // the server ends a watch when its time is over; one that ends before that and has said nothing is no watch
        if !told && started.elapsed() < BRIEF {
            return Err(WatchError::Truncated);
        }
        // what it said counts, but a server that ends watch after watch must not be asked without a pause
        tokio::time::sleep_until(started + BRIEF).await;
        Ok(())
    }

    async fn open(&mut self, query: &str) -> Result<Pin<Box<dyn AsyncBufRead + Send>>, WatchError> {
        let request = http::Request::get(format!("{}?{query}", self.sink.url())).body(Vec::new());
        let request = request.map_err(|error| WatchError::Connection(std::io::Error::other(error)))?;
        let body = within(self.client.request_stream(request)).await?.map_err(WatchError::from)?;
        self.sink.heard();
        self.lines.clear();
        Ok(Box::pin(body))
    }

    /// Takes in one line. Nothing at the end of the stream.
    async fn line(&mut self, body: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Told>, WatchError> {
        let line = within(self.lines.next(body)).await?.map_err(WatchError::Connection)?;
        self.sink.heard();
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLarge => {
                self.sink.skip(Skipped::TooLarge);
                return Ok(Some(Told::Nothing));
            }
            Line::Truncated => return Err(WatchError::Truncated),
            Line::End => return Ok(None),
        };
        let Ok(frame) = serde_json::from_slice::<Frame<'_, S::Object<'_>>>(line) else {
            if let Ok(ErrorFrame { event, object }) = serde_json::from_slice(line)
                && event == "ERROR"
            {
                return Err(WatchError::of_status(object.code, object.message));
            }
            self.sink.skip(Skipped::Malformed);
            return Ok(Some(Told::Nothing));
        };
        let metadata = frame.object.metadata();
        let version = metadata.resource_version.as_ref().to_owned();
        match &*frame.event {
            "BOOKMARK" if metadata.ends_initial_events() => return Ok(Some(Told::End(version))),
            "BOOKMARK" => {}
            "ADDED" | "MODIFIED" => {
                self.sink.see(&frame.object, || serde_json::from_slice(line).ok().map(|raw: RawFrame<'_>| raw.object));
            }
            "DELETED" => self.sink.remove(&frame.object),
            _ => return Ok(Some(Told::Nothing)),
        }
        Ok(Some(Told::At(version)))
    }

    /// The version of a list. One that is older than what was seen comes from a server that lags behind, and is refused;
    /// unless it stays so, since then somebody has set the whole cluster back.
    fn number(&mut self, version: &str) -> Result<u64, WatchError> {
        let number: u64 = version.parse().map_err(|_| WatchError::Truncated)?;
        if number < self.newest {
            if self.behind.get_or_insert_with(Instant::now).elapsed() < LAGS {
                return Err(WatchError::Behind { listed: number, seen: self.newest });
            }
            self.sink.set_back();
        }
        (self.newest, self.behind) = (number, None);
        Ok(number)
    }
}

/// What a line told about where the watch stands.
enum Told {
    /// Nothing.
    Nothing,
    /// The version that it has come to.
    At(String),
    /// A streamed list is complete, at that version.
    End(String),
}

/// The pauses of a watch after failures.
#[must_use]
pub fn pauses() -> ExponentialBuilder {
    let pauses = ExponentialBuilder::new().with_jitter().with_factor(GROWTH);
    pauses.with_min_delay(SHORTEST).with_max_delay(LONGEST).without_max_times()
}

/// The pauses while a right or a kind lacks, which is given back by people.
fn lasting() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::new().with_jitter().with_factor(2.0);
    pauses.with_min_delay(SHORTEST).with_max_delay(LASTS).without_max_times().build()
}

async fn within<T>(answer: impl Future<Output = T>) -> Result<T, WatchError> {
    tokio::time::timeout(SILENCE, answer).await.map_err(|_| WatchError::Timeout(SILENCE))
}

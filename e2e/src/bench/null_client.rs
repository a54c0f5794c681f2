//! The null client: asks the API server for the very lists that the operator needs, and throws them away. It decodes
//! nothing and keeps nothing, so it is the floor that a client of this machine and this API server can reach.

use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{AsyncBufRead, AsyncBufReadExt};
use kube::Client;
use memchr::{memchr_iter, memmem};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::Command;

use super::process;
use crate::{kubeconfig, programs};

/// The lists of the operator's fleet.
const LISTS: [&str; 5] = [
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/batch/v1/cronjobs",
    "/api/v1/namespaces",
];
/// A streaming list: the objects as they are, then a bookmark, then changes.
const QUERY: &str = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
/// Annotation of the bookmark that ends the list. No object of a benchmark holds these bytes.
const END: &[u8] = b"k8s.io/initial-events-end";

/// What a null client has read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Read {
    /// Bytes of bodies
    pub bytes: usize,
    /// Objects
    pub objects: usize,
    /// Seconds of processor time
    pub cpu: f64,
    /// The most resident bytes
    pub peak: f64,
}

/// A run of it, from starting the program to the end of its last list.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it read
    pub read: Read,
    /// How long it took
    pub took: Duration,
}

/// Reads the lists side by side, as the operator does.
///
/// # Errors
/// When a list is refused, or ends too early.
pub async fn read(kubeconfig: &Path) -> Result<Read> {
    let client = kubeconfig::client(kubeconfig).await?;
    let lists = futures::future::try_join_all(LISTS.map(|path| read_list(&client, path))).await?;
    let usage = process::usage("self")?;
    let (bytes, objects) = lists.into_iter().fold((0, 0), |sum, list| (sum.0 + list.0, sum.1 + list.1));
    Ok(Read { bytes, objects, cpu: usage.cpu, peak: usage.peak })
}

/// Bytes and objects of one list.
async fn read_list(client: &Client, path: &str) -> Result<(usize, usize)> {
    let request = http::Request::get(format!("{path}?{QUERY}")).body(Vec::new())?;
    let stream = client.request_stream(request).await.with_context(|| format!("list {path}"))?;
    discard(std::pin::pin!(stream)).await.with_context(|| format!("list {path}"))
}

/// Counts bytes and lines up to the one with [`END`], which is no object.
async fn discard(mut stream: Pin<&mut impl AsyncBufRead>) -> Result<(usize, usize)> {
    let (mut bytes, mut lines) = (0, 0);
    let mut tail = Vec::new();
    let end = memmem::Finder::new(END);
    loop {
        let chunk = stream.fill_buf().await?;
        ensure!(!chunk.is_empty(), "the stream ended before the list did");
        // The mark may lie across chunks: `tail` is what stands before this one.
        tail.extend_from_slice(&chunk[..chunk.len().min(END.len())]);
        let ended = end.find(&tail).is_some() || end.find(chunk).is_some();
        if chunk.len() > END.len() {
            tail.clear();
            tail.extend_from_slice(&chunk[chunk.len() - END.len()..]);
        }
        tail.drain(..tail.len().saturating_sub(END.len()));
        bytes += chunk.len();
        lines += memchr_iter(b'\n', chunk).count();
        let length = chunk.len();
        stream.as_mut().consume(length);
        if ended {
            // The bookmark's own line break may be in this chunk or not have come yet.
            return Ok((bytes, lines - usize::from(tail.last() == Some(&b'\n'))));
        }
    }
}

/// Runs `bench null-client` as a process of its own, as the operator is one.
///
/// # Errors
/// When it fails.
pub async fn run(kubeconfig: &Path) -> Result<Run> {
    let started = Instant::now();
    let mut child = Command::new(programs::sibling("bench")?)
        .arg("null-client")
        .arg(kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the null client")?;
    let mut said = String::new();
    let stdout = child.stdout.take().context("no pipe from the null client")?;
    BufReader::new(stdout).read_to_string(&mut said).await?;
    let took = started.elapsed();
    ensure!(child.wait().await?.success(), "the null client failed");
    Ok(Run { read: serde_json::from_str(&said).with_context(|| format!("parse {said:?}"))?, took })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_are_counted_up_to_the_end_of_the_list_wherever_chunks_break() {
        let text = b"{\"type\":\"ADDED\"}\n{\"type\":\"ADDED\"}\n{\"type\":\"BOOKMARK\",\"k8s.io/initial-events-end\":\"true\"}\n";
        for size in 1..text.len() {
            let chunks: Vec<_> = text.chunks(size).map(|chunk| Ok(chunk.to_vec())).collect();
            let stream = futures::TryStreamExt::into_async_read(futures::stream::iter(chunks));
            let (_, objects) = discard(std::pin::pin!(stream)).await.unwrap();
            assert_eq!(objects, 2, "chunks of {size}");
        }
    }

    #[tokio::test]
    async fn stream_that_breaks_off_is_an_error() {
        let stream = futures::io::Cursor::new(b"{\"type\":\"ADDED\"}\n".to_vec());
        assert!(discard(std::pin::pin!(stream)).await.is_err());
    }
}

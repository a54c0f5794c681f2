//! When to end: with the process that holds the other end of stdin, or on a signal.

use std::io;

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Completes when stdin closes, which the kernel does however the parent ends.
///
/// A thread reads it, not tokio: tokio's reader would keep the runtime from ending while stdin is open.
pub fn stdin_closed() -> oneshot::Receiver<()> {
    let (closed, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        // Closed and broken pipes mean the same here.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    receiver
}

/// Reasons to end that come from outside.
pub struct Parent {
    stdin: oneshot::Receiver<()>,
    terminate: Signal,
    interrupt: Signal,
}

impl Parent {
    /// Starts to listen; from here on neither signal ends the process by itself.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listen to signals");
        Ok(Self {
            stdin: stdin_closed(),
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Completes at the first reason to end. Can be dropped and called again before that.
    pub async fn gone(&mut self) {
        tokio::select! {
            _ = &mut self.stdin => (),
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

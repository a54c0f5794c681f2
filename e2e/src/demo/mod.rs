//! The demo: a believable fleet of four teams, half of which is adopted before the reader's eyes.
//!
//! ```text
//! cluster (own control plane, or the user's) ─> fleet ─> install ─> acts ─> stays up ─> Ctrl-C ─> nothing is left
//! ```

mod acts;
mod boards;
mod cluster;
mod table;
mod terminal;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use terminal::say;

/// Shows adoption on a control plane of its own, and stays up until Ctrl-C.
#[derive(clap::Parser, Debug)]
pub struct Arguments {
    /// End after the last act instead of waiting for Ctrl-C
    #[arg(long, env = "GOLDENPATH_DEMO_ONCE", value_parser = clap::builder::FalseyValueParser::new())]
    pub once: bool,
    /// Run on the cluster of this kubeconfig's current context, in namespaces of the demo's own, and clean up at the end.
    /// The variable KUBECONFIG is not looked at, so that nobody runs it there by mistake
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
}

/// Runs the demo to its end, or until it is interrupted; either way nothing stays.
///
/// # Errors
/// When a step fails: then also only after cleaning up.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let mut interrupted = Box::pin(interrupted()?);
    let started = Instant::now();
    let cluster = tokio::select! {
        cluster = Cluster::open(arguments.kubeconfig.as_deref()) => cluster?,
        () = &mut interrupted => return ended(None).await,
    };
    let shown = tokio::select! {
        shown = acts::show(&cluster, started, arguments.once) => shown,
        () = &mut interrupted => Ok(()),
    };
    ended(Some(cluster)).await.and(shown)
}

async fn ended(cluster: Option<Cluster>) -> Result<()> {
    if let Some(cluster) = cluster {
        cluster.close().await?;
    }
    say("Ended: nothing is left running.");
    Ok(())
}

/// Ctrl-C, the end of the terminal, or an ordinary `kill`.
fn interrupted() -> Result<impl Future<Output = ()>> {
    let (mut interrupt, mut hangup, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

//! An operator with nothing to do: it must write nothing and list nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::process::usage;
use super::stage::Stage;
use crate::{Operator, audit};

/// What it did while nothing changed.
#[derive(Clone, Debug)]
pub struct Idle {
    /// How long
    pub seconds: f64,
    /// Writes, without Events and Leases
    pub writes: usize,
    /// Writes of Events and Leases
    pub events_and_leases: usize,
    /// Lists, streaming lists included
    pub lists: usize,
    /// Watches that went on where the last one ended
    pub watches: usize,
    /// Seconds of processor time
    pub cpu: f64,
}

/// Watches it for a while.
///
/// # Errors
/// When the audit log cannot be read, or the operator is gone.
pub async fn run(stage: &Stage, operator: &Operator, length: Duration) -> Result<Idle> {
    let (mark, before, started) = (stage.control_plane.audit_mark()?, usage(operator.pid())?, Instant::now());
    tokio::time::sleep(length).await;
    let after = usage(operator.pid())?;
    let seconds = started.elapsed().as_secs_f64();
    let user = Stage::operator_user();
    let mut events = stage.control_plane.audit_since(mark)?;
    events.retain(|event| event.user == user);
    let writes = audit::writes(&events, &user).total();
    let all = events.iter().filter(|event| event.is_write()).count();
    let mut reads = BTreeMap::<&str, usize>::new();
    for event in &events {
        // A streaming list is a watch by its verb.
        let listed = event.verb == "list" || event.uri.contains("sendInitialEvents=true");
        *reads.entry(if listed { "list" } else { &event.verb }).or_default() += 1;
    }
    let reads = |verb| reads.get(verb).copied().unwrap_or(0);
    let (lists, watches) = (reads("list"), reads("watch"));
    Ok(Idle { seconds, writes, events_and_leases: all - writes, lists, watches, cpu: after.cpu - before.cpu })
}

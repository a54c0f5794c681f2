//! What reached the API server, read from its audit log: the ground truth of every claim about writes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::control_plane::ControlPlane;
use crate::wait;

/// A moment in the audit log: what came before it is not counted.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// One answered request. Reads by the control plane itself are not logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// `system:serviceaccount:<namespace>:<name>`, `admin`, ...
    pub user: String,
    /// As the client sent it
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`
    pub verb: String,
    /// API group, empty for core
    pub group: String,
    /// Plural, empty for requests outside the resources such as `/readyz`
    pub resource: String,
    /// `status`, `scale`, ..., or empty
    pub subresource: String,
    /// Empty for cluster-scoped objects
    pub namespace: String,
    /// Empty for lists
    pub name: String,
    /// HTTP status of the answer
    pub code: u16,
    /// By the query `dryRun=All`. A delete with `dryRun` in its body does not show here.
    pub dry_run: bool,
    /// Path and query
    pub uri: String,
    /// When the request arrived
    pub time: jiff::Timestamp,
}

impl AuditEvent {
    /// A request that stores something, or would, had it not been refused: no read, no dry run, and no review of
    /// rights or tokens, which is a `create` that stores nothing.
    #[must_use]
    pub fn is_write(&self) -> bool {
        let stores = !matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
            && self.subresource != "token";
        let verb = matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        verb && stores && !self.dry_run && !self.resource.is_empty()
    }

    /// Whether it is a write about objects: Events and Leases tell about who wrote them.
    #[must_use]
    pub fn is_write_of_objects(&self) -> bool {
        self.is_write() && !matches!(self.resource.as_str(), "events" | "leases")
    }
}

/// Writes by verb and `resource[/subresource]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<(String, String), usize>);

impl Counts {
    /// How many of one kind, such as `of("patch", "deployments/status")`.
    #[must_use]
    pub fn of(&self, verb: &str, resource: &str) -> usize {
        self.0.get(&(verb.to_owned(), resource.to_owned())).copied().unwrap_or(0)
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> =
            self.0.iter().map(|((verb, resource), count)| format!("{count} x {verb} {resource}")).collect();
        formatter.write_str(&if lines.is_empty() { "no writes".to_owned() } else { lines.join(", ") })
    }
}

/// Writes of one user, refused ones included, without Events and Leases: those tell about the operator, not about
/// the objects it must leave alone.
#[must_use]
pub fn writes(events: &[AuditEvent], user: &str) -> Counts {
    let mut counts = Counts::default();
    for event in events.iter().filter(|event| event.user == user && event.is_write_of_objects()) {
        let resource = match event.subresource.as_str() {
            "" => event.resource.clone(),
            subresource => format!("{}/{subresource}", event.resource),
        };
        *counts.0.entry((event.verb.clone(), resource)).or_default() += 1;
    }
    counts
}

/// The user name of a `ServiceAccount`.
#[must_use]
pub fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

impl ControlPlane {
    /// Waits until nothing that is meant has been written for a while: what happened has been taken in.
    ///
    /// # Errors
    /// When it goes on, or the audit log cannot be read.
    pub async fn is_still(
        &self,
        pause: Duration,
        patience: Duration,
        is_meant: impl Fn(&AuditEvent) -> bool,
    ) -> Result<()> {
        let (mark, began) = (self.audit_mark()?, jiff::Timestamp::now());
        wait::until("the operator to be done", patience, async || {
            let events = self.audit_since(mark)?;
            let last = events.iter().filter(|event| is_meant(event)).max_by_key(|event| event.time);
            let since = jiff::Timestamp::now().duration_since(last.map_or(began, |event| event.time)).unsigned_abs();
            let what = last.map(|event| format!("{} {}", event.verb, event.uri)).unwrap_or_default();
            ensure!(since >= pause, "{what}, {since:?} ago");
            Ok(Some(()))
        })
        .await
    }

    /// Now, for [`Self::audit_since`].
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn audit_mark(&self) -> Result<Mark> {
        let log = &self.ready().audit_log;
        Ok(Mark(std::fs::metadata(log).with_context(|| format!("read {}", log.display()))?.len()))
    }

    /// Every request answered since a mark. A request is in the log before its answer ends, so nothing has to be
    /// awaited for what the caller itself has done.
    ///
    /// # Errors
    /// When the audit log cannot be read or holds something else than audit events.
    pub fn audit_since(&self, mark: Mark) -> Result<Vec<AuditEvent>> {
        let log = &self.ready().audit_log;
        let mut text = Vec::new();
        let mut file = File::open(log).with_context(|| format!("open {}", log.display()))?;
        file.seek(SeekFrom::Start(mark.0.saturating_sub(1)))?;
        file.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        parse(if mark.0 == 0 { &text } else { whole_lines(&text) })
    }
}

/// What comes after the first line break: the mark may stand in the middle of an event that was being written, or behind
/// the line break of the one before.
fn whole_lines(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

fn parse(text: &str) -> Result<Vec<AuditEvent>> {
    // Behind the last line break there may be half an event.
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    let event = |line| serde_json::from_str::<Raw>(line).with_context(|| format!("parse the audit event {line}"));
    complete.lines().map(|line| Ok(event(line)?.into())).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: RawUser,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: RawObject,
    #[serde(default)]
    response_status: RawStatus,
    request_received_timestamp: jiff::Timestamp,
}

#[derive(Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawObject {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct RawStatus {
    #[serde(default)]
    code: u16,
}

impl From<Raw> for AuditEvent {
    fn from(raw: Raw) -> Self {
        let RawObject { api_group, resource, subresource, namespace, name } = raw.object_ref;
        let query = raw.request_uri.split_once('?').map_or("", |(_, query)| query);
        Self {
            user: raw.user.username,
            user_agent: raw.user_agent,
            verb: raw.verb,
            group: api_group,
            dry_run: query.split('&').any(|pair| pair == "dryRun=All"),
            resource,
            subresource,
            namespace,
            name,
            code: raw.response_status.code,
            uri: raw.request_uri,
            time: raw.request_received_timestamp,
        }
    }
}

//! Revisions of paths, kept as ControllerRevisions in the operator's namespace.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Api;
use kube::core::ObjectMeta;

use super::context::Context;
use super::errors::Error;
use super::policies::in_use;
use crate::api::{Reason, WorkloadKind, labels};
use crate::plan::leaf::Road;
use crate::plan::probe::{read_back, written_out};
use crate::plan::revision::Revision;

/// Why a path is not ready, beside errors that are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The condition's reason.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub message: String,
}

/// All kept revisions of a path.
pub struct Kept {
    /// The revisions that can be read, the newest first, with their numbers.
    revisions: Vec<(i64, Revision)>,
    /// The highest number, readable or not.
    last: i64,
}

/// Reads the kept revisions of a path.
pub async fn kept(path: &str, context: &Context) -> Result<Kept, Error> {
    let objects = context.requests.list(&api(context), &format!("{}={path}", labels::PATH)).await?;
    let last = objects.iter().map(|o| o.revision).max().unwrap_or(0);
    let mut revisions = Vec::with_capacity(objects.len());
    for object in objects {
        let name = object.metadata.name.unwrap_or_default();
        match serde_json::from_value(object.data.map(|d| d.0).unwrap_or_default()) {
            Ok(revision) => revisions.push((object.revision, revision)),
            // without it the road cannot tell its old values from the team's: they stay, which harms nobody
            Err(error) => tracing::error!(name, %error, "a ControllerRevision cannot be read"),
        }
    }
    revisions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    Ok(Kept { revisions, last })
}

impl Kept {
    /// The revision of that name, if it is kept.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Revision> {
        self.all().find(|r| r.name == name)
    }

    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &Revision> {
        self.revisions.iter().map(|(_, revision)| revision)
    }

    /// The revision of a version, if one is kept. Where nobody followed the first content of a version, a later one took
    /// its place.
    #[must_use]
    pub fn version(&self, version: &str) -> Option<&Revision> {
        self.all().find(|r| r.version.as_deref() == Some(version))
    }

    /// Every version, the newest first.
    #[must_use]
    pub fn versions(&self) -> Vec<String> {
        distinct(self.all().filter_map(|revision| revision.version.as_ref()))
    }

    /// The name of every default, those of the newest revision first.
    #[must_use]
    pub fn defaults(&self) -> Vec<String> {
        distinct(self.all().flat_map(|revision| &revision.rules).map(|rule| &rule.name))
    }

    /// The road of `revision` with every literal that the path ever filled.
    #[must_use]
    pub fn road(&self, revision: &Revision) -> Road {
        let mut road = revision.road.clone();
        for other in self.all() {
            road.remember(&other.road);
        }
        road
    }

    /// Keeps a new revision.
    pub async fn keep(&mut self, mut revision: Revision, context: &Context) -> Result<Revision, Error> {
        revision.road = self.road(&revision);
        let what = || format!("ControllerRevision {}", revision.name);
        let data = serde_json::to_value(&revision).map_err(|source| Error::Serialisation { what: what(), source })?;
        self.last += 1;
        let object = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(revision.name.clone()),
                namespace: Some(context.operator.namespace.clone()),
                labels: Some([(labels::PATH.to_owned(), revision.path.clone())].into()),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(data)),
            revision: self.last,
        };
        context.requests.create(&api(context), &object).await?;
        self.revisions.insert(0, (self.last, revision.clone()));
        Ok(revision)
    }

    /// Deletes the oldest of what nobody follows, beyond `limit`. The newest stays in any case: it carries every literal
    /// that the path ever filled.
    pub async fn forget(&self, followed: &[&str], limit: usize, context: &Context) -> Result<(), Error> {
        let free = self.all().skip(1).filter(|revision| !followed.contains(&revision.name.as_str()));
        for revision in free.skip(limit) {
            if !in_use(&revision.name, context).await? {
                context.requests.delete(&api(context), &revision.name).await?;
                tracing::info!(revision = revision.name, "deleted an old revision that nobody follows");
            }
        }
        Ok(())
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn api(context: &Context) -> Api<ControllerRevision> {
    Api::namespaced(context.requests.client(), &context.operator.namespace)
}

/// The draft with its literals as the API server writes them: `0.1` comes back as `100m`, a probe with its defaults.
pub async fn canonical(draft: Revision, context: &Context) -> Result<Result<Revision, NotReady>, Error> {
    if draft.road.0.is_empty() {
        return Ok(Ok(draft));
    }
    match write_out(&draft.road, context).await? {
        Ok(road) => Ok(Ok(Revision { road, ..draft })),
        Err(all) => {
            // the server names the field; which default it came from is found by asking for each alone
            for rule in &draft.rules {
                let mut alone = draft.road.clone();
                for line in &mut alone.0 {
                    line.wishes.any.take_if(|w| w.default != rule.name);
                    line.wishes.named.retain(|_, w| w.default == rule.name);
                }
                if let Err(message) = write_out(&alone, context).await? {
                    let message = format!("defaults[{}].podTemplate: the API server refuses it: {message}", rule.name);
                    return Ok(Err(NotReady { reason: Reason::InvalidDefault, message }));
                }
            }
            let message = format!("the API server refuses the defaults together: {all}");
            Ok(Err(NotReady { reason: Reason::InvalidDefault, message }))
        }
    }
}

async fn write_out(road: &Road, context: &Context) -> Result<Result<Road, String>, Error> {
    let probe = written_out(road);
    match context.requests.dry_run_create(WorkloadKind::Deployment, &context.operator.namespace, &probe).await {
        Ok(answer) => Ok(Ok(read_back(road, &answer))),
        Err(error) => error.refusal().map(Err).ok_or(error),
    }
}

//! The claim to lead the cluster, read and written. What it means stands in `plan::claim`.

use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, future};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::ballot::{Ballot, Failed};
use crate::api::labels;
use crate::plan::claim::{Claim, NAME, Rival};
use crate::plan::lease::{self, RENEW_EVERY, RETRY};

/// A claim that is not there may have been deleted from under a leader, who puts it back: it is taken when it has been missing
/// for so long.
const PUTS_BACK: Duration = RETRY.saturating_mul(2);
/// How long a watch of the claim lasts: one whose connection is dead is noticed a few seconds later.
const WATCH_SECONDS: u32 = 25;
/// How often a claim is written before somebody else may try.
const TAKES: u8 = 3;

/// What a watch of the claim says: its object, if there is one.
pub type Change = watcher::Result<Option<ValidatingAdmissionPolicy>>;

/// The claim as it was read, to be written over.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// The version of the object, if there is one.
    version: Option<String>,
    claim: Option<Claim>,
}

impl Read {
    fn of(object: Option<&ObjectMeta>) -> Self {
        let value = object.and_then(|meta| meta.annotations.as_ref()?.get(labels::LEADER));
        Self {
            version: object.and_then(|meta| meta.resource_version.clone()),
            claim: value.and_then(|value| Claim::parse(value)),
        }
    }
}

/// Whether this installation may lead.
#[derive(Debug)]
pub enum Answer {
    /// It may, as soon as the claim is taken.
    May(Read),
    /// Another one leads, and counts for so long if nothing changes.
    Led(Claim, Duration),
    /// There is no claim, and somebody may put it back in that time.
    Missing(Duration),
}

/// The claim, seen from one replica.
pub struct Claims {
    client: Client,
    ballot: Ballot,
    policies: Api<ValidatingAdmissionPolicy>,
    mine: Claim,
    rival: Option<Rival>,
    /// Since when there has been no claim.
    missing: Option<Instant>,
    /// As the watch has shown it last, until it is answered.
    seen: Option<Read>,
}

impl Claims {
    /// Of a replica.
    #[must_use]
    pub fn new(client: Client, ballot: Ballot, namespace: &str, identity: &str) -> Self {
        let mine = Claim { namespace: namespace.to_owned(), identity: identity.to_owned(), term: String::new() };
        Self { policies: Api::all(client.clone()), client, ballot, mine, rival: None, missing: None, seen: None }
    }

    /// What is claimed from now on is of the term that has begun with this version of the Lease.
    pub fn begin(&mut self, lease: Option<&Lease>) {
        self.mine.term = lease.and_then(ResourceExt::resource_version).unwrap_or_default();
    }

    /// Whether this installation may lead, by the claim and by the Lease of whoever has it.
    pub async fn look(&mut self) -> Result<Answer, Failed> {
        let read = self.read().await?;
        if read.claim.is_some() || self.rival.is_some() {
            self.missing = None;
        } else {
            let since = *self.missing.get_or_insert_with(Instant::now);
            let left = PUTS_BACK.saturating_sub(since.elapsed());
            return Ok(if left.is_zero() { Answer::May(read) } else { Answer::Missing(left) });
        }
        let Some(claim) =
            read.claim.clone().or_else(|| self.vanished()).filter(|claim| claim.namespace != self.mine.namespace)
        else {
            self.rival = None;
            return Ok(Answer::May(read));
        };
        // the Lease after the claim: who takes it later is refused the claim, or has it before us
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &claim.namespace);
        let what = format!("get Lease {}/{}", claim.namespace, lease::NAME);
        let lease = self.ballot.ask(&what, leases.get_opt(lease::NAME)).await?;
        let (rival, left) = Rival::look(
            self.rival.take(),
            claim.clone(),
            lease.map(|lease| lease.spec.unwrap_or_default()),
            Instant::now(),
        );
        self.rival = Some(rival);
        Ok(if left.is_zero() { Answer::May(read) } else { Answer::Led(claim, left) })
    }

    /// A claim that is not there any more, since somebody has deleted it: whoever had it may still lead.
    fn vanished(&self) -> Option<Claim> {
        self.rival.as_ref().map(|rival| rival.claim.clone())
    }

    /// Somebody leads this installation: what was seen before says nothing about the next time that nobody does.
    pub fn is_led(&mut self) {
        self.missing = None;
    }

    /// The claim as it changes, for whoever leads.
    pub fn changes(&self) -> impl Stream<Item = Change> + use<> {
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}")).timeout(WATCH_SECONDS);
        let mut listed = None;
        watcher::watcher(self.policies.clone(), config).filter_map(move |event| {
            let change = match event {
                Ok(Event::Init) => {
                    listed = None;
                    None
                }
                Ok(Event::InitApply(object)) => {
                    listed = Some(object);
                    None
                }
                Ok(Event::InitDone) => Some(Ok(listed.take())),
                Ok(Event::Apply(object)) => Some(Ok(Some(object))),
                Ok(Event::Delete(_)) => Some(Ok(None)),
                Err(error) => Some(Err(error)),
            };
            future::ready(change)
        })
    }

    /// Watches the claim until then, and takes one again that is gone. The answer is another installation that has it.
    pub async fn guard(&mut self, changes: &mut (impl Stream<Item = Change> + Unpin), until: Instant) -> Option<Claim> {
        let other = async {
            loop {
                // what was seen and not answered, since the time was over
                match self.seen.as_ref().map(|read| &read.claim) {
                    Some(Some(claim)) if claim.namespace != self.mine.namespace => return claim.clone(),
                    Some(None) => match self.take(self.seen.clone().unwrap_or_default()).await {
                        Ok(()) => self.seen = None,
                        Err(failed) => {
                            tracing::debug!(error = failed.why, "the claim is gone and was not taken again");
                            // sooner than anybody else takes it
                            if let Ok(change) = tokio::time::timeout(RETRY, changes.next()).await {
                                self.see(change).await;
                            }
                            continue;
                        }
                    },
                    _ => self.seen = None,
                }
                let change = changes.next().await;
                self.see(change).await;
            }
        };
        tokio::time::timeout_at(until.into(), other).await.ok()
    }

    async fn see(&mut self, change: Option<Change>) {
        match change {
            Some(Ok(object)) => self.seen = Some(Read::of(object.as_ref().map(|object| &object.metadata))),
            // whoever takes the claim waits for our Lease, whether we see it or not
            Some(Err(error)) => {
                let failed = self.ballot.unwatched(&format!("watch ValidatingAdmissionPolicy {NAME}"), error);
                tracing::debug!(error = failed.why, "the claim is not watched");
                tokio::time::sleep(RENEW_EVERY).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Takes the claim as it was read. Whoever is not heard of, or comes too late, looks again whether it may.
    pub async fn insist(&mut self, mut read: Read) -> Result<(), Failed> {
        for left in (0..TAKES).rev() {
            match self.take(read).await {
                Ok(()) => break,
                Err(failed) if failed.lacking || left == 0 => return Err(failed),
                Err(failed) => tracing::info!(error = failed.why, "the claim was not taken, and is looked at again"),
            }
            match self.look().await? {
                Answer::May(again) => read = again,
                Answer::Led(by, _) => return Err(Failed { why: by.refusal(), code: None, lacking: false }),
                Answer::Missing(_) => {
                    let why = "somebody has deleted it meanwhile".to_owned();
                    return Err(Failed { why, code: None, lacking: false });
                }
            }
        }
        Ok(())
    }

    /// Takes the claim, if it is still as it was read.
    async fn take(&self, read: Read) -> Result<(), Failed> {
        let manager = Some(labels::FIELD_MANAGER.to_owned());
        if read.claim.as_ref() == Some(&self.mine) {
            // nobody had heard of it
            return Ok(());
        }
        if let Some(version) = read.version {
            let metadata = json!({"resourceVersion": version, "annotations": {labels::LEADER: self.mine.value()}});
            let params = PatchParams { field_manager: manager, ..PatchParams::default() };
            let patch = Patch::Merge(json!({"metadata": metadata}));
            let what = format!("patch ValidatingAdmissionPolicy {NAME}");
            self.ballot.ask(&what, self.policies.patch_metadata(NAME, &params, &patch)).await.map(drop)
        } else {
            let params = PostParams { field_manager: manager, dry_run: false };
            let what = format!("create ValidatingAdmissionPolicy {NAME}");
            self.ballot.ask(&what, self.policies.create(&params, &self.mine.policy())).await.map(drop)
        }
    }

    /// By a list, for which the operator has the right anyway.
    async fn read(&self) -> Result<Read, Failed> {
        let params = ListParams::default().fields(&format!("metadata.name={NAME}"));
        let what = format!("list ValidatingAdmissionPolicy {NAME}");
        let found = self.ballot.ask(&what, self.policies.list_metadata(&params)).await?;
        Ok(Read::of(found.items.first().map(|object| &object.metadata)))
    }
}

#[cfg(test)]
mod tests;

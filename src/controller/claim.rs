//! The claim to lead the cluster, read and written. What it means stands in `plan::claim`.

use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::api::labels;
use crate::plan::claim::{Claim, NAME, Rival};
use crate::plan::lease::{self, DEADLINE};

/// Reason of the Event that a second installation writes.
const REASON: &str = "LedByAnotherInstallation";

/// The claim as it was read, to be written over: a version of the object, if there is one.
#[derive(Debug)]
pub struct Read(Option<String>);

/// Whether this installation may lead.
#[derive(Debug)]
pub enum Answer {
    /// It may, as soon as the claim is taken.
    May(Read),
    /// Another one leads, and counts for so long if nothing changes.
    Led(Claim, Duration),
}

/// The claim, seen from one replica.
pub struct Claims {
    client: Client,
    policies: Api<ValidatingAdmissionPolicy>,
    mine: Claim,
    rival: Option<Rival>,
}

impl Claims {
    /// Of a replica.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        let mine = Claim { namespace: namespace.to_owned(), identity: identity.to_owned(), term: String::new() };
        Self { policies: Api::all(client.clone()), client, mine, rival: None }
    }

    /// What is claimed from now on is of the term that has begun with this version of the Lease.
    pub fn begin(&mut self, lease: Option<&Lease>) {
        self.mine.term = lease.and_then(ResourceExt::resource_version).unwrap_or_default();
    }

    /// Whether this installation may lead, by the claim and by the Lease of whoever has it.
    pub async fn look(&mut self) -> Result<Answer, String> {
        let (read, claim) = self.read().await?;
        let Some(claim) = claim.or_else(|| self.vanished()).filter(|claim| claim.namespace != self.mine.namespace)
        else {
            self.rival = None;
            return Ok(Answer::May(read));
        };
        // the Lease after the claim: who takes it later is refused the claim, or has it before us
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &claim.namespace);
        let what = format!("get Lease {}/{}", claim.namespace, lease::NAME);
        let lease = within(&what, leases.get_opt(lease::NAME)).await?;
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

    /// Who has the claim, if that is another installation; one that nobody has is taken again.
    pub async fn taken_by_another(&self) -> Option<Claim> {
        let (read, claim) = match self.read().await {
            Ok(found) => found,
            Err(why) => {
                tracing::debug!(why, "the claim was not looked at");
                return None;
            }
        };
        if claim.is_none()
            && let Err(why) = self.take(read).await
        {
            tracing::warn!(why, "the claim is gone and was not taken again");
        }
        claim.filter(|claim| claim.namespace != self.mine.namespace)
    }

    /// Takes the claim, if it is still as it was read.
    pub async fn take(&self, read: Read) -> Result<(), String> {
        let manager = Some(labels::FIELD_MANAGER.to_owned());
        if let Some(version) = read.0 {
            let metadata = json!({"resourceVersion": version, "annotations": {labels::LEADER: self.mine.value()}});
            let params = PatchParams { field_manager: manager, ..PatchParams::default() };
            let patch = Patch::Merge(json!({"metadata": metadata}));
            let what = format!("patch ValidatingAdmissionPolicy {NAME}");
            within(&what, self.policies.patch_metadata(NAME, &params, &patch)).await.map(drop)
        } else {
            let params = PostParams { field_manager: manager, dry_run: false };
            let what = format!("create ValidatingAdmissionPolicy {NAME}");
            within(&what, self.policies.create(&params, &self.mine.policy())).await.map(drop)
        }
    }

    /// By a list, for which the operator has the right anyway.
    async fn read(&self) -> Result<(Read, Option<Claim>), String> {
        let params = ListParams::default().fields(&format!("metadata.name={NAME}"));
        let what = format!("list ValidatingAdmissionPolicy {NAME}");
        let found = within(&what, self.policies.list_metadata(&params)).await?.items.into_iter().next();
        let claim = found.as_ref().and_then(|object| Claim::parse(object.annotations().get(labels::LEADER)?));
        Ok((Read(found.and_then(|object| object.metadata.resource_version)), claim))
    }

    /// Says on the pod who leads instead: an Event, the one thing that is written without leading.
    pub async fn say(&self, claim: &Claim) {
        let reporter = Reporter { controller: labels::REPORTER.to_owned(), instance: None };
        let pod = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(self.mine.namespace.clone()),
            name: self.mine.identity.rsplit_once('_').map(|(pod, _)| pod.to_owned()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Warning,
            reason: REASON.to_owned(),
            note: Some(claim.refusal()),
            action: "Follow".to_owned(),
            secondary: None,
        };
        let recorder = Recorder::new(self.client.clone(), reporter);
        if let Ok(Err(error)) = tokio::time::timeout(DEADLINE, recorder.publish(&event, &pod)).await {
            tracing::warn!(%error, "an Event was not written");
        }
    }
}

async fn within<T>(what: &str, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(answer) => answer.map_err(|error| format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: no answer within {DEADLINE:?}")),
    }
}

//! The elector: holds the Lease while this process runs, or waits for it. What it decides stands in `plan::lease`.
//!
//! It has a client of its own, without kube's silent retries, and a deadline on each request. A leader that cannot renew
//! stops to write before its lease has run out, and ends: whoever starts after it reads everything anew.
//!
//! A process that is stuck leads no more: where the task of the controllers is, which is the elector's too, nothing is renewed,
//! and after a minute `/livez` says so; a pass that has not let go of its thread a minute after its deadline ends the term. What
//! waits for an answer is not stuck: each request and each pass has a deadline.

use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client, ResourceExt};
use prometheus::IntGauge;

use super::ballot::{Ballot, Failed};
use super::claim::{Answer, Claims};
use super::leadership::Leadership;
use crate::api::labels;
use crate::observability::catalogue::LED_ELSEWHERE;
use crate::observability::metrics::MetricsError;
use crate::observability::{Gate, Metrics};
use crate::plan::claim::Claim;
use crate::plan::lease::{Candidate, DURATION, MAY_WRITE, NAME, RELEASED, RENEW_EVERY, RETRY, Turn, holder};

/// Why a leader leads no more.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The lease names somebody else.
    #[error("the lease {NAME} is held by {0} now")]
    Taken(String),
    /// Another installation has the claim.
    #[error("goldenpath is led by {0} now, and a cluster has one: uninstall one of the two")]
    Claimed(String),
    /// A pass is stuck.
    #[error("a pass has kept its thread for {0:.0?}")]
    Stuck(Duration),
    /// It could not be renewed in time.
    #[error("the lease {NAME} could not be renewed for {MAY_WRITE:?}: {0}")]
    NotRenewed(String),
}

/// Reason of the Event that a second installation writes.
const LED: &str = "LedByAnotherInstallation";
/// What keeps a replica from leading that has the Lease. To delete the claim harms nobody: whoever leads takes it again.
const NOT_CLAIMED: &str =
    "the claim to lead was not to be had; if it stays so, kubectl delete validatingadmissionpolicy goldenpath-leader";
/// Pause between two looks at an installation that leads, and before another try where one alone will not do.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// One that holds the Lease, or waits for it.
pub struct Elector {
    api: Api<Lease>,
    /// Of the Lease, with its namespace.
    name: String,
    me: String,
    ballot: Ballot,
    leadership: Leadership,
    claims: Claims,
    /// Closed while another installation leads, or while nobody knows.
    gate: Gate,
    /// Whether another installation leads.
    elsewhere: IntGauge,
    /// The installation that an Event has named last.
    told: Option<String>,
    /// As the server has it since we hold it.
    held: Option<Lease>,
}

impl Elector {
    /// In a namespace, under a name that no other process has, as a pod with this uid.
    pub fn new(
        client: Client,
        namespace: &str,
        me: String,
        uid: Option<String>,
        gate: Gate,
        metrics: &Metrics,
    ) -> Result<Self, MetricsError> {
        let elsewhere = IntGauge::new(LED_ELSEWHERE.name, LED_ELSEWHERE.help)?;
        metrics.register(elsewhere.clone())?;
        let ballot = Ballot::new(client.clone(), metrics.clone(), namespace, &me, uid);
        let claims = Claims::new(client.clone(), ballot.clone(), namespace, &me);
        let (name, leadership) = (format!("Lease {namespace}/{NAME}"), Leadership::elected());
        let api = Api::namespaced(client, namespace);
        Ok(Self { api, name, me, ballot, leadership, claims, gate, elsewhere, told: None, held: None })
    }

    /// Whether it has been elected.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Waits for the lease, holds it, and answers when it is lost.
    pub async fn run(&mut self) -> Lost {
        let renewed = self.follow().await;
        tracing::info!(identity = self.me, "this replica leads");
        self.lead(renewed).await
    }

    /// Resolves with the time at which we began to take the lease that we hold.
    async fn follow(&mut self) -> Instant {
        let (mut candidate, mut seen, mut known) = (Candidate::default(), None, false);
        let mut changes = std::pin::pin!(watch_object(self.api.clone(), NAME));
        let mut told = None;
        loop {
            let spec = seen.as_ref().map(|lease: &Lease| lease.spec.clone().unwrap_or_default());
            let turn = if known { candidate.look(spec.as_ref(), Instant::now()) } else { Turn::Wait(DURATION) };
            let wait = match turn {
                Turn::Wait(left) => left,
                Turn::Create | Turn::Take => match self.try_to_lead(seen.as_ref()).await {
                    Ok(began) => return began,
                    Err(pause) => pause,
                },
            };
            let now = spec.as_ref().and_then(holder).map(str::to_owned);
            // each time: whatever closed the gate, such as a network that was away, says nothing when it is over
            if known && matches!(turn, Turn::Wait(_)) && now.as_ref().is_some_and(|who| *who != self.me) {
                self.gate.set_ready();
                self.elsewhere.set(0);
                self.claims.is_led();
            }
            if known && told != now {
                tracing::info!(identity = self.me, leader = now, "this replica follows");
                told = now;
            }
            match tokio::time::timeout(wait, changes.next()).await {
                Ok(Some(Ok(lease))) => {
                    (seen, known) = (lease, true);
                    continue;
                }
                Ok(Some(Err(error))) => self.unwatched(error).await,
                Ok(None) => tokio::time::sleep(RETRY).await,
                Err(_) => (),
            }
            // a watch can be deaf, and who waits for it would never take over
            match self.read().await {
                Ok(read) => (seen, known) = (read, true),
                Err(failed) if failed.lacking => {
                    known = false;
                    self.gate.set_not_ready(failed.why);
                }
                Err(failed) => tracing::debug!(error = failed.why, "the lease was not read"),
            }
        }
    }

    /// A pause after the watch of the lease has failed; without the right to watch it is read after each.
    async fn unwatched(&self, error: watcher::Error) {
        let failed = self.ballot.unwatched(&format!("watch {}", self.name), error);
        if !failed.lacking {
            tracing::warn!(error = failed.why, "the lease cannot be watched");
        }
        tokio::time::sleep(if failed.lacking { LOOK_AGAIN } else { RETRY }).await;
    }

    /// Takes the lease and then the claim: either alone is no right to write. Else the answer is when to look again.
    async fn try_to_lead(&mut self, seen: Option<&Lease>) -> Result<Instant, Duration> {
        let claim = match self.claims.look().await {
            Ok(Answer::May(claim)) => claim,
            Ok(Answer::Led(by, left)) => {
                self.led_by(&by).await;
                return Err(left.min(LOOK_AGAIN));
            }
            Ok(Answer::Missing(left)) => return Err(left),
            Err(failed) => {
                return Err(self.cannot("nobody knows whether another installation leads", &failed));
            }
        };
        let began = Instant::now();
        match self.take(seen).await {
            Ok(()) => (),
            // another replica was faster
            Err(failed) if failed.code == Some(409) => {
                tracing::info!(error = failed.why, "the lease was not to be had");
                return Err(RETRY);
            }
            Err(failed) => return Err(self.cannot("the lease was not to be had", &failed)),
        }
        self.claims.begin(self.held.as_ref());
        let taken = tokio::time::timeout_at((began + RENEW_EVERY).into(), self.claims.insist(claim)).await;
        if let Err(failed) = taken.unwrap_or_else(|_| Err(Failed::silent("the API server", RENEW_EVERY))) {
            self.cannot(NOT_CLAIMED, &failed);
            // another replica may have more luck, and gets the time for it
            self.leave().await;
            tokio::time::sleep(LOOK_AGAIN).await;
            return Err(RETRY);
        }
        self.gate.set_ready();
        self.elsewhere.set(0);
        Ok(began)
    }

    /// Says what stands in the way; the answer is when to try again.
    fn cannot(&self, what: &str, failed: &Failed) -> Duration {
        self.gate.set_not_ready(format!("{what}: {failed}"));
        if failed.lacking { LOOK_AGAIN } else { RETRY }
    }

    async fn led_by(&mut self, other: &Claim) {
        self.gate.set_not_ready(other.refusal());
        self.elsewhere.set(1);
        if self.told.as_ref() != Some(&other.namespace) {
            self.ballot.say(LED, other.refusal()).await;
            self.told = Some(other.namespace.clone());
        }
    }

    /// The lease as it is now.
    async fn read(&self) -> Result<Option<Lease>, Failed> {
        self.ballot.ask(&format!("get {}", self.name), self.api.get_opt(NAME)).await
    }

    /// Renews until that fails for too long. `renewed` is when the request began that has succeeded last.
    async fn lead(&mut self, mut renewed: Instant) -> Lost {
        let (mut next, mut why) = (renewed + RENEW_EVERY, "no answer".to_owned());
        let mut claims = std::pin::pin!(self.claims.changes());
        loop {
            let end = renewed + MAY_WRITE;
            self.leadership.extend(end);
            let renewal = async {
                // in the pause, and no longer: a renewal comes before everything else
                if let Some(other) = self.claims.guard(&mut claims, next).await {
                    return Err(Lost::Claimed(other.to_string()));
                }
                let began = Instant::now();
                let before = self.held.clone();
                let taken = self.take(before.as_ref()).await;
                // it may have arrived all the same; somebody else may hold it, or has edited or deleted ours
                let read = if taken.is_err() { self.read().await.ok() } else { None };
                Ok((began, taken, read))
            };
            let (began, taken, read) = tokio::select! {
                biased; // one that was stopped in the middle finds its term over before it asks for more
                () = tokio::time::sleep_until(end.into()) => return Lost::NotRenewed(why),
                renewed = renewal => match renewed {
                    Ok(renewed) => renewed,
                    Err(lost) => return lost,
                },
            };
            match taken {
                Ok(()) => (renewed, next) = (began, began + RENEW_EVERY),
                Err(failed) => {
                    tracing::warn!(error = failed.why, "the lease was not renewed");
                    (why, next) = (failed.why, Instant::now() + RETRY);
                }
            }
            if let Some(read) = read {
                let other = read.as_ref().and_then(|lease| lease.spec.as_ref()).and_then(holder);
                if let Some(other) = other.filter(|who| *who != self.me) {
                    return Lost::Taken(other.to_owned());
                }
                // written over at once: to be told by another refusal that it has changed takes time that is short
                if read.as_ref().and_then(ResourceExt::resource_version) != self.held_version() {
                    next = Instant::now();
                }
                self.held = read;
            }
        }
    }

    fn held_version(&self) -> Option<String> {
        self.held.as_ref().and_then(ResourceExt::resource_version)
    }

    /// Creates the lease, takes it, or renews it. Whoever has read something older is refused by the server.
    async fn take(&mut self, before: Option<&Lease>) -> Result<(), Failed> {
        let now = MicroTime(Timestamp::now());
        let last = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = last.holder_identity.as_deref() == Some(&self.me);
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if ours { last.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(last.lease_transitions.unwrap_or(0) + i32::from(!ours && before.is_some())),
            ..last
        };
        self.held = Some(self.write(before, spec).await?);
        Ok(())
    }

    async fn write(&self, before: Option<&Lease>, spec: LeaseSpec) -> Result<Lease, Failed> {
        let params = PostParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), dry_run: false };
        let request = async {
            if let Some(before) = before {
                let metadata = ObjectMeta { managed_fields: None, ..before.metadata.clone() };
                self.api.replace(NAME, &params, &Lease { metadata, spec: Some(spec) }).await
            } else {
                let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
                self.api.create(&params, &Lease { metadata, spec: Some(spec) }).await
            }
        };
        let verb = if before.is_some() { "update" } else { "create" };
        self.ballot.ask(&format!("{verb} {}", self.name), request).await
    }

    /// Leaves the lease to the next one. Nothing may be written any more.
    pub async fn release(mut self) {
        self.leave().await;
    }

    async fn leave(&mut self) {
        // a renewal that was on its way has made what we hold old
        for _ in 0..2 {
            let Some(held) = self.held.take() else { return };
            let spec = held.spec.clone().unwrap_or_default();
            if spec.holder_identity.as_deref() != Some(&self.me) {
                return;
            }
            let spec = LeaseSpec {
                holder_identity: Some(String::new()),
                lease_duration_seconds: Some(RELEASED),
                renew_time: Some(MicroTime(Timestamp::now())),
                ..spec
            };
            match self.write(Some(&held), spec).await {
                Ok(_) => return tracing::info!("the lease is released"),
                Err(failed) => {
                    tracing::warn!(error = failed.why, "the lease was not released; else it runs out by itself");
                }
            }
            self.held = self.read().await.ok().flatten();
        }
    }
}

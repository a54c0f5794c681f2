//! How a changed path reaches its services: in waves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selectors::NamespaceSelector;

/// rollout says how a changed path reaches the services on it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// paused stops the rollout: no further service moves, and those that have moved stay.
    #[serde(default)]
    pub paused: bool,

    /// abortOnFailurePercent is how many percent of the services that have moved may fail: beyond it nobody else moves, and
    /// those that have moved go back. Without it a failing service goes back alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub abort_on_failure_percent: Option<i32>,

    /// maxConcurrentRestarts is how many workloads of the path the operator restarts at the same time, which it does only for
    /// defaults whose timing is Immediate. A service that goes back because it failed waits for no turn. Without it, 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_concurrent_restarts: Option<i32>,

    /// waves lists who moves first, and what has to be seen before the next wave moves. Services in none of them move last.
    /// Without waves every service moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub waves: Vec<Wave>,

    /// promote lets one revision go on with a wave at once, whatever that waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<Promotion>,

    /// abort takes one revision back from every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
}

/// Each entry is a wave: services that move together.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.name != 'rest'").message(
    "'rest' is what the services of no wave are called; choose another name"))]
pub struct Wave {
    /// name is what the wave is called, and must be unique within the rollout.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// namespaceSelector selects services by the labels of their namespace. Without it, services of all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,

    /// tiers selects services by their tier. Without it, services of all tiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tiers: Vec<Tier>,

    /// percent is the share of the selected services that are in no earlier wave; which ones is decided by a hash, and stays
    /// the same. Without it, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: Option<i32>,

    /// minExercised is how many services of the wave must have rolled out with the change before the soak begins. Without
    /// it, a tenth of them and at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub min_exercised: Option<i32>,

    /// soak is how long nothing must fail after that, such as 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub soak: Option<String>,

    /// maxWait is how long to wait for minExercised, such as 168h; after that the next wave waits for a promotion. Without
    /// it, the wait has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub max_wait: Option<String>,

    /// approval says whether the wave waits for a promotion before it moves: None or Required.
    #[serde(default)]
    pub approval: Approval,
}

/// Whether a wave waits for a person.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approval {
    /// It begins by itself.
    #[default]
    None,
    /// It begins when it is promoted.
    Required,
}

/// How much a service matters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// It must not fail.
    Critical,
    /// As most.
    #[default]
    Standard,
    /// It may fail.
    BestEffort,
}

/// A wave of a revision that may begin.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Promotion {
    /// revision is the revision that is promoted, as the status names it: a later one waits again.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    /// wave is the wave that may begin, and with it every one before it. The services of no wave are called rest.
    #[schemars(length(min = 1, max = 40))]
    pub wave: String,
}

/// A revision that is taken back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct Abort {
    /// revision is the revision that is taken back, as the status names it.
    #[schemars(length(min = 1, max = 63))]
    pub revision: String,
    /// reason says why, for everybody who reads the status.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// How far the current revision has come.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// phase says what the rollout is doing.
    pub phase: RolloutPhase,
    /// revision is the revision that rolls out.
    #[schemars(length(max = 63))]
    pub revision: String,
    /// stableRevision is the last revision that went through every wave: what services begin with until their wave moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stable_revision: Option<String>,
    /// wave is the last wave that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub wave: Option<String>,
    /// waveStartedAt is when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave_started_at: Option<Time>,
    /// soakingSince is when enough of the wave had rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soaking_since: Option<Time>,
    /// moved counts the services that follow the revision.
    pub moved: i64,
    /// exercised counts those of them that have rolled out with it.
    pub exercised: i64,
    /// pending counts the services that have not moved.
    pub pending: i64,
    /// failed counts the services that were well before their rollout and not after it.
    pub failed: i64,
    /// waitingFor says what the next wave waits for, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub waiting_for: Option<String>,
}

/// What a rollout is doing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RolloutPhase {
    /// Every wave has moved, and was seen to be well.
    #[default]
    Complete,
    /// It waits until enough services of the wave have rolled out.
    Exercising,
    /// Enough have, and nothing must fail for a while.
    Soaking,
    /// The next wave waits for a promotion.
    AwaitingApproval,
    /// It is paused.
    Paused,
    /// It was taken back.
    Aborted,
}

//! What a program asks of paths and of Deprecations alike: what comes first, and what could go wrong.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a piece of work is worth over what it takes: weighted shortest job first. Every number is relative, on one scale
/// for all: SAFe's ends with 20 (1, 2, 3, 5, 8, 13, 20), others go from 1 to 10; a scale of its own would make no ranking.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Priority {
    /// businessValue is what it is worth to users and to the business, from 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub business_value: i32,
    /// timeCriticality is how much of that is lost by waiting, from 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub time_criticality: i32,
    /// riskReduction is what it is worth as a risk less, or as a door that it opens, from 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub risk_reduction: i32,
    /// jobSize is how much work it is, from 1 to 20.
    #[schemars(range(min = 1, max = 20))]
    pub job_size: i32,
}

/// Each entry is something that could go wrong.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.state != 'Open' || has(self.dueAt)").message(Message::Expression(
    "'risk ' + self.name + ' is open for ever; say in dueAt by when it is seen to, or set another state'".into())))]
pub struct Risk {
    /// name is what the risk is called, and must be unique within the object.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// severity is how bad it would be.
    pub severity: Grade,
    /// probability is how likely it is.
    pub probability: Grade,
    /// mitigation says what is done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub mitigation: Option<String>,
    /// owner is the person or the team that sees to it.
    #[schemars(length(min = 1, max = 63))]
    pub owner: String,
    /// dueAt is by when it is seen to. An open risk is overdue from then on: condition Degraded is True and names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Time>,
    /// state says what became of it. Only Open ones are counted and become overdue.
    #[serde(default)]
    pub state: RiskState,
}

/// How bad, or how likely.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Hardly.
    Low,
    /// Somewhat.
    Medium,
    /// Very.
    High,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What became of a risk.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RiskState {
    /// Its owner has to see to it.
    #[default]
    Open,
    /// Something was done, and what is left of it is bearable.
    Mitigated,
    /// It is borne as it is.
    Accepted,
    /// It cannot happen any more.
    Resolved,
}

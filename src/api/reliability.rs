//! How reliable services are meant to be, and how reliable they are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Percent with up to three decimals, below or equal to 100.
const PERCENT: &str = r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)$";

/// objectives says how reliable a service is meant to be.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// availability is the part of the time, in percent, in which every workload of the service is to be available, such
    /// as "99.9". It is judged over the last 30 days, or since the service was available first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 7), regex(pattern = PERCENT))]
    pub availability: Option<String>,
}

/// reliability is how reliable a service was. A workload is available when at least one of its pods is. A CronJob, and what
/// is scaled to zero, is not looked at.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Reliability {
    /// availability30d is the part of the last 30 days, in percent, in which every workload was available. While an outage
    /// lasts it stays as it was when the outage began, or when the objective was missed.
    #[schemars(length(max = 7))]
    pub availability30d: String,
    /// since is when all workloads were seen available first.
    pub since: Time,
    /// downSince is when the outage began that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Time>,
    /// outages lists the days of the last 30 on which a workload was not available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["date".into()]))]
    pub outages: Vec<DayOfOutage>,
}

/// Each entry is one day, in UTC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DayOfOutage {
    /// date is the day, such as 2026-11-26.
    #[schemars(length(max = 10))]
    pub date: String,
    /// seconds is how long it was not available on that day.
    pub seconds: i64,
}

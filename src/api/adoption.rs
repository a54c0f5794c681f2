//! `GoldenPath.status.adoption`: how far everyone has come.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// adoption says how far everyone has come on the path.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PathAdoption {
    /// workloads counts the workloads of the cluster.
    pub workloads: WorkloadCounts,
    /// teams counts the teams that have eligible workloads.
    pub teams: TeamCounts,
    /// services counts the PlatformServices that take the path.
    pub services: ServiceCounts,
    /// history has the counts at the beginning of each week, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub history: Vec<AdoptionWeek>,
}

/// Counts of workloads.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadCounts {
    /// adopted counts the workloads that have every default of the path.
    pub adopted: i64,
    /// claimed counts the workloads that a PlatformService has put on the path.
    pub claimed: i64,
    /// eligible counts the workloads that could be on the path, whether a PlatformService names them or not.
    pub eligible: i64,
    /// percent is adopted over eligible, such as "42.7".
    #[schemars(length(max = 8))]
    pub percent: String,
}

/// Counts of teams.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct TeamCounts {
    /// adopted counts the teams all of whose eligible workloads are adopted.
    pub adopted: i64,
    /// claimed counts the teams with at least one workload on the path.
    pub claimed: i64,
    /// total counts the teams with at least one eligible workload.
    pub total: i64,
    /// percent is adopted over total, such as "28.6".
    #[schemars(length(max = 8))]
    pub percent: String,
}

/// Counts of PlatformServices.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    /// adopted counts the services whose workloads are all adopted.
    pub adopted: i64,
    /// total counts the services that take the path.
    pub total: i64,
    /// voluntary counts the adopted services whose team took the path by itself.
    pub voluntary: i64,
}

/// Each entry is one week.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptionWeek {
    /// date is the Monday that the week begins with.
    #[schemars(length(max = 10))]
    pub date: String,
    /// adopted counts the adopted workloads at the first look in that week.
    pub adopted: i64,
    /// eligible counts the eligible workloads at the first look in that week.
    pub eligible: i64,
}

//! `Deprecation.status`, as far as it says who still uses what is old.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UsedExemption;

/// progress says who still uses what is old.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeprecationProgress {
    /// consumers counts what is old and who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Consumers>,
    /// teams lists the teams that still have something old, those with the most first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub teams: Vec<DeprecationTeam>,
    /// teamsTotal counts the teams that still have something old, whether they are listed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams_total: Option<i64>,
    /// stragglers lists objects that are old still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub stragglers: Vec<Straggler>,
    /// stragglersTotal counts the objects that are old still, whether they are listed or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stragglers_total: Option<i64>,
    /// exemptions says of each exemption how it is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub exemptions: Vec<UsedExemption>,
    /// history has what remained at the beginning of each week, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 60))]
    pub history: Vec<DeprecationWeek>,
    /// forecast says when nobody will be left if it goes on like this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
}

/// consumers counts what is old and who has it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Consumers {
    /// objects counts the objects that match, the exempt ones among them.
    pub objects: i64,
    /// services counts the PlatformServices that they belong to.
    pub services: i64,
    /// teams counts the teams that they belong to.
    pub teams: i64,
    /// migrated counts the objects that matched once and do not any more, or are gone.
    pub migrated: i64,
    /// remaining counts the objects that match and are not exempt.
    pub remaining: i64,
    /// exempt counts the objects that match and are exempt.
    pub exempt: i64,
    /// unevaluable counts the objects for which an expression ends in an error. They never count as matched.
    pub unevaluable: i64,
    /// unfixable counts the objects that remain and that replacement.fix does not make new ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unfixable: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so
fn is_zero(count: &i64) -> bool {
    *count == 0
}

/// Each entry is a team that still has something old.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct DeprecationTeam {
    /// name is the name of the team.
    #[schemars(length(max = 63))]
    pub name: String,
    /// remaining counts its objects that are old still.
    pub remaining: i64,
}

/// Each entry is an object that is old still.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Straggler {
    /// object is the object, such as ingress/shop/checkout.
    #[schemars(length(max = 512))]
    pub object: String,
    /// team is the team that it belongs to.
    #[schemars(length(max = 63))]
    pub team: String,
    /// match is the name of the entry of matches that it matches.
    #[serde(rename = "match")]
    #[schemars(length(max = 40))]
    pub matched: String,
    /// manager is who writes it through an old API version, where that is why it matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub manager: Option<String>,
}

/// Each entry is one week.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeprecationWeek {
    /// date is the Monday that the week begins with.
    #[schemars(length(max = 10))]
    pub date: String,
    /// remaining counts what was old at the first look in that week.
    pub remaining: i64,
}

/// When nobody will be left.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// perWeek is how many objects leave in a week, such as "3.0".
    #[schemars(length(max = 16))]
    pub per_week: String,
    /// completeBy is when nobody is left at that speed. It is not there while nobody leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_by: Option<Time>,
}

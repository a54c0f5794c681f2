//! `GoldenPath`: what the platform team writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    Admission, AdmissionLevel, Companion, Exemption, GrantedExemption, Mode, Objectives, PathAdoption, Priority, Risk,
    Rollout, RolloutStatus, WorkloadKind, conditions,
};

/// spec says what the path gives to the workloads that take it.
///
/// Every revision is compiled into a MutatingAdmissionPolicy, so that the API server itself fills what a team left open
/// whenever the team deploys.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "goldenpath.dev",
    version = "v1alpha1",
    kind = "GoldenPath",
    doc = "A GoldenPath is a paved road: versioned defaults for the workloads of the services that take it.",
    status = "GoldenPathStatus",
    shortname = "gp",
    // not `goldenpath`: kubectl looks among the categories first, and `kubectl get goldenpath NAME` would be answered by
    // "you must specify only one resource"
    category = "golden",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 52").message(
        "metadata.name is too long: choose at most 52 characters, because it is part of the revision label of each workload"),
    validation = Rule::new("!has(self.spec.retirement) || !has(self.spec.retirement.replacedBy) \
        || self.spec.retirement.replacedBy.name != self.metadata.name").message(Message::Expression(
        "'spec.retirement.replacedBy.name: ' + self.metadata.name + ' cannot come after itself; name another GoldenPath'".into())),
    validation = Rule::new("!has(self.spec.retirement) || self.spec.stage == 'Retiring'").message(Message::Expression(
        "'spec.retirement: a path of stage ' + self.spec.stage + ' does not go; set stage: Retiring'".into())),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Services", type_ = "integer", json_path = ".status.adoption.services.total"),
    printcolumn(name = "Adopted", type_ = "integer", json_path = ".status.adoption.workloads.adopted"),
    printcolumn(name = "Eligible", type_ = "integer", json_path = ".status.adoption.workloads.eligible"),
    printcolumn(name = "Percent", type_ = "string", json_path = ".status.adoption.workloads.percent"),
    printcolumn(name = "Wave", type_ = "string", json_path = ".status.rollout.wave"),
    printcolumn(name = "WSJF", type_ = "string", json_path = ".status.wsjf"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner.team", priority = 1),
    printcolumn(name = "Revision", type_ = "string", priority = 1, json_path = ".status.currentRevision"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
// each said once more by `plan::feedback::refuse`, for paths that were stored under an older definition
#[x_kube(validation = Rule::new(
    "!has(self.admission) || self.admission.level != 'Deny' || self.stage in ['Stable', 'Retiring']").message(Message::Expression(
    "'admission.level: Deny needs a path that is ready for everybody, and this one is of stage ' + self.stage \
     + '; set level: Warn, or stage: Stable'".into())))]
#[x_kube(validation = Rule::new(
    "!has(self.admission) || self.admission.level == 'Off' || (has(self.defaultFor) && self.defaultFor.size() > 0)").message(
    "admission.level: without a kind in defaultFor there is no workload to look at; add one, or set level: \"Off\""))]
#[x_kube(validation = Rule::new(
    "!has(self.admission) || self.admission.level == 'Off' || (has(self.defaults) && self.defaults.exists(d, has(d.check)))").message(
    "admission.level: no default has a check, so there is nothing to say; add one, or set level: \"Off\""))]
pub struct GoldenPathSpec {
    /// stage is where the path stands on the roadmap. Only Preview, Stable and Retiring paths can be adopted.
    #[serde(default)]
    pub stage: Stage,

    /// version is for people, and is shown on every service that takes the path. A version that services follow stays as it
    /// is: changed defaults need a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub version: Option<String>,

    /// retirement says when the path goes and what comes after it. Services on it are told from the day it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,

    /// retiredVersions lists versions that services cannot stay pinned to. From retireAt on, a service that is pinned to one
    /// follows the path again; until then it is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["version".into()]))]
    pub retired_versions: Vec<RetiredVersion>,

    /// revisionHistoryLimit is how many revisions are kept that no service follows any more, for the way back. Without it,
    /// ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: Option<i32>,

    /// defaultFor lists the kinds of workloads that take this path when their service names none. Only one path may claim
    /// a kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub default_for: Vec<WorkloadKind>,

    /// owner says who keeps the path and where its documentation is. Teams read it wherever the path asks them for
    /// something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PathOwner>,

    /// maxMode is the farthest mode that a service on this path can have: a service that asks for more gets this. Enforce
    /// lets services ask for values to be replaced where a default says `override: Forbidden`.
    #[serde(default)]
    pub max_mode: Mode,

    /// rollout says how a changed path reaches the services on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,

    /// objectives says how reliable the services of the path are meant to be: each of them, where it does not say so itself,
    /// and all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,

    /// exemptions lists who may do without which defaults, until when, and who granted that. Only who can write the path
    /// can grant; teams ask with exemptionRequests in their PlatformService.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exemptions: Vec<Exemption>,

    /// maxExemptPercent is how many percent of the path's services may have an exemption. Beyond it the path is Degraded;
    /// exemptions stay in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_exempt_percent: Option<i32>,

    /// defaults is what the path gives: values to fill, checks, objects beside workloads, or several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub defaults: Vec<PathDefault>,

    /// admission says whether the API server itself warns of workloads whose checks do not hold, or refuses them. It looks
    /// at every workload of the kinds in defaultFor, whether a service names it or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,

    /// priority says what the path is worth over how much work it is, so that paths and Deprecations can be ranked. The result
    /// stands in status.wsjf. All of them must be rated on one scale, from 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,

    /// risks lists what could go wrong with it, who sees to that, and by when. Condition Degraded is True while one of them is
    /// open past its date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub risks: Vec<Risk>,
}

impl GoldenPathSpec {
    /// The level of admission feedback.
    #[must_use]
    pub fn admission_level(&self) -> AdmissionLevel {
        self.admission.as_ref().map(|admission| admission.level).unwrap_or_default()
    }
}

/// The end of a path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retirement {
    /// retireAt is when the path goes. Nothing happens by itself then: it is the date that teams read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retire_at: Option<Time>,
    /// replacedBy names the path to take instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<PathReference>,
}

/// A reference to another path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct PathReference {
    /// name is the name of the GoldenPath.
    #[schemars(length(max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// Each entry is a version that ends.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RetiredVersion {
    /// version is the version of the path.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub version: String,
    /// retireAt is when services that are pinned to it follow the path again.
    pub retire_at: Time,
}

/// Who keeps a path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PathOwner {
    /// team is the team that keeps the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub team: Option<String>,
    /// contact is where that team answers, such as a channel or a mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub contact: Option<String>,
    /// docsURL is the address of the path's documentation. It is shown to people; the operator never opens it.
    #[serde(default, rename = "docsURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = "^https?://[!-~]+$"))]
    pub docs_url: Option<String>,
}

impl PathOwner {
    /// Where a team that was asked for something finds help: "docs: https://...; ask platform at #paved-road".
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let docs = self.docs_url.as_ref().map(|url| format!("docs: {url}"));
        let ask = match (&self.team, &self.contact) {
            (Some(team), Some(contact)) => Some(format!("ask {team} at {contact}")),
            (Some(one), None) | (None, Some(one)) => Some(format!("ask {one}")),
            (None, None) => None,
        };
        let parts: Vec<String> = docs.into_iter().chain(ask).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Where a path stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Thought of. It cannot be adopted.
    Idea,
    /// Decided. It cannot be adopted yet.
    Planned,
    /// Can be tried.
    Preview,
    /// Ready for everybody.
    #[default]
    Stable,
    /// Still works; leave it in time.
    Retiring,
}

impl Stage {
    /// Whether services can take a path of this stage.
    #[must_use]
    pub fn adoptable(self) -> bool {
        !matches!(self, Self::Idea | Self::Planned)
    }
}

/// Each default has values to fill, a check, objects to make beside the workload, or several of them.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.podTemplate) || has(self.check) || has(self.resources)").message(
    Message::Expression("'default ' + self.name + ' does nothing; give it a podTemplate, a check or resources'".into())))]
pub struct PathDefault {
    /// name is what the default is called in verdicts, messages and metrics, and must be unique within the path.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// owner says who sees to it that the default is in place: the platform team, the application team, or both. It is
    /// shown beside each verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DefaultOwner>,

    /// category is what the default is good for. What is missing is counted by category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,

    /// override says whether a team may do without the default: Allowed, WithReason (by an entry of overrides in its
    /// PlatformService that says why), or Forbidden (only by an exemption that the platform team grants).
    #[serde(default, rename = "override")]
    pub permission: Override,

    /// timing says when the values arrive: OnNextRollout waits for the team's own next rollout, Immediate asks for one
    /// rollout at once.
    #[serde(default)]
    pub timing: Timing,

    /// weight is the default's share of the score: a default of weight 2 counts twice as much as one of weight 1.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,

    /// podTemplate holds values for fields that a team left open, in the shape of a pod template. Under containers the
    /// name "*" means every container; init containers are filled only by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "pod_template")]
    pub pod_template: Option<Map<String, Value>>,

    /// check is a CEL expression that is true when the workload does what the default asks for. It can use object,
    /// namespaceObject and variables.template, which is the pod template of any kind of workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub check: Option<String>,

    /// resources lists objects to make beside each workload of the services that take the path, such as a
    /// PodDisruptionBudget. None is made where the team has one of its own that covers the same pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["apiVersion".into(), "kind".into()]))]
    pub resources: Vec<Companion>,

    /// hint says in one sentence what a team can do when the default is not in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub hint: Option<String>,

    /// reason says in one sentence what goes wrong without the default. It is shown after the hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reason: Option<String>,
}

/// Who sees to it that a default is in place.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefaultOwner {
    /// The platform team: it comes with the path.
    Platform,
    /// The application team: the path can only ask for it.
    Team,
    /// The path brings a value that the application team should replace by its own.
    Shared,
}

/// Whether a team may do without a default.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Override {
    /// By its own value, without a word.
    #[default]
    Allowed,
    /// By an entry of overrides that says why.
    WithReason,
    /// Only by an exemption.
    Forbidden,
}

/// What a default is good for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// The service stays up.
    Reliability,
    /// An intruder gets less far.
    Security,
    /// Nothing is reserved or billed in vain.
    Cost,
    /// One can see what it does.
    Observability,
    /// Changes go out, and back, in a known way.
    Delivery,
}

fn default_weight() -> i32 {
    1
}

/// When the values of a default arrive.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timing {
    /// With the team's own next rollout.
    #[default]
    OnNextRollout,
    /// At once, by one rollout that the operator asks for.
    Immediate,
}

/// A pod template has every field of the server's own version, so the schema is the server's: the path's proof by dry
/// run answers with the field and the value that it refuses. Unknown fields are kept beside `spec` too, although only
/// `spec` can be filled: pruning would lose them without a word, the operator says where they belong.
fn pod_template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "description": "spec has the fields of a pod's spec, as far as the path fills them.",
                "type": "object",
                "minProperties": 1,
                "x-kubernetes-preserve-unknown-fields": true,
            },
        },
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// status is what the operator made of the path.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GoldenPathStatus {
    /// observedGeneration is the generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// currentRevision is the revision that services follow: the name of the path and a hash of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub current_revision: Option<String>,
    /// adoption says how far everyone has come on the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<PathAdoption>,
    /// rollout says how far the current revision has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,
    /// exemptions says how each exemption of the spec is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exemptions: Vec<GrantedExemption>,
    /// wsjf is the weighted shortest job first of spec.priority: the sum of businessValue, timeCriticality and riskReduction,
    /// over jobSize. The highest comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub wsjf: Option<String>,
    /// conditions has entries of type Ready, which says whether the path can be taken, RolledOut, which says whether the
    /// current revision has reached every service, Progressing, which says whether it is on its way, Degraded, which is
    /// True where its owner is needed: a revision was taken back, more services are exempt than the path allows for, an exemption
    /// has ended, or a risk is overdue, and ObjectiveMet, which says whether its services together are as available as objectives says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::PathOwner;

    #[rstest]
    #[case::everything(
        Some("platform"),
        Some("#road"),
        Some("https://d"),
        Some("docs: https://d; ask platform at #road")
    )]
    #[case::team_alone(Some("platform"), None, None, Some("ask platform"))]
    #[case::contact_alone(None, Some("#road"), None, Some("ask #road"))]
    #[case::docs_alone(None, None, Some("https://d"), Some("docs: https://d"))]
    #[case::nothing(None, None, None, None)]
    fn help_names_what_is_known(
        #[case] team: Option<&str>,
        #[case] contact: Option<&str>,
        #[case] docs_url: Option<&str>,
        #[case] help: Option<&str>,
    ) {
        let of = |text: Option<&str>| text.map(str::to_owned);
        let owner = PathOwner { team: of(team), contact: of(contact), docs_url: of(docs_url) };
        assert_eq!(owner.help().as_deref(), help);
    }
}

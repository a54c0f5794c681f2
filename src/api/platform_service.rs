//! `PlatformService`: what an application team writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DefaultOverride, DefaultOwner, DeprecatedObject, ExemptionRequest, ExemptionStatus, Feedback, Milestones,
    Objectives, Reliability, Tier, WorkloadTemplate, conditions,
};

/// spec says which workloads the service consists of and which path they take.
///
/// Creating the object adopts those workloads onto a golden path: they get labels, nothing restarts, and the path's
/// defaults arrive with the team's own next rollout.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "goldenpath.dev",
    version = "v1alpha1",
    kind = "PlatformService",
    doc = "A PlatformService is a service of an application team that takes a golden path, and the workloads it consists of.",
    namespaced,
    status = "PlatformServiceStatus",
    shortname = "psvc",
    category = "golden",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 63").message(
        "metadata.name is too long: choose at most 63 characters, because it is the value of a label of each workload"),
    validation = Rule::new(TEMPLATE_NAMES_FIT).message(TEMPLATE_NAME_TOO_LONG),
    printcolumn(name = "Team", type_ = "string", json_path = ".status.team"),
    printcolumn(name = "Path", type_ = "string", json_path = ".status.goldenPath.name"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.goldenPath.version"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.adoption.state"),
    printcolumn(name = "Score", type_ = "string", json_path = ".status.adoption.score"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.deletionPolicy) || self.deletionPolicy != 'Undo' || self.workloads.exists(w, has(w.ref))").message(
    "deletionPolicy: Undo is for workloads with a ref, and this service has none: choose Delete or Keep"))]
#[x_kube(validation = Rule::new(
    "!has(self.deletionPolicy) || self.deletionPolicy != 'Delete' || self.workloads.exists(w, has(w.template))").message(
    "deletionPolicy: Delete is for workloads with a template, and this service has none: choose Keep or Undo"))]
pub struct PlatformServiceSpec {
    /// team is the team that owns the service. Without it, the label `goldenpath.dev/team` of the first workload that has
    /// one says so, and then that of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub team: Option<String>,

    /// goldenPathRef names the golden path to take. Without it, the service takes the one path whose defaultFor names the
    /// kind of its workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden_path_ref: Option<GoldenPathRef>,

    /// mode says how far the operator may go: Observe only reports, Default also fills what the team left open, with the
    /// team's own next rollout, and Enforce also replaces the team's own values where a default says `override:
    /// Forbidden`, in the team's own request. The path's maxMode is the limit.
    #[serde(default)]
    pub mode: Mode,

    /// tier says how much the service matters: Critical, Standard or BestEffort. Waves of a path may ask for it.
    #[serde(default)]
    pub tier: Tier,

    /// suspend stops the operator from writing anything for this service. Workloads that are labelled already keep their
    /// defaults.
    #[serde(default)]
    pub suspend: bool,

    /// deletionPolicy says what happens when this service, or an entry of workloads, is deleted. A workload with a
    /// template is deleted too (Delete, the default there) or stays (Keep). A workload with a ref always stays; the values
    /// that the path filled stay with it (Keep, the default there) or leave with its next rollout (Undo).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// overrides lists the defaults that the team does without, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["default".into()]))]
    pub overrides: Vec<DefaultOverride>,

    /// exemptionRequests asks the platform team for exemptions. They are granted in the spec of the GoldenPath or of the
    /// Deprecation, which only the platform team can write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exemption_requests: Vec<ExemptionRequest>,

    /// objectives says how reliable the service is meant to be. Without it, the objectives of its path hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,

    /// feedback says how content the team is with its path. It changes nothing but metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,

    /// workloads lists the workloads of the service, each of them once.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new(
        "self.all(w, !has(w.ref) || self.exists_one(v, has(v.ref) && v.ref.kind == w.ref.kind && v.ref.name == w.ref.name))")
        .message(Message::Expression(
            "self.map(w, has(w.ref) && \
             !self.exists_one(v, has(v.ref) && v.ref.kind == w.ref.kind && v.ref.name == w.ref.name), \
             'the entry ' + w.name + ' names ' + w.ref.kind + ' ' + w.ref.name \
             + ', and so does another one; remove one of them')[1]".into())))]
    pub workloads: Vec<Workload>,
}

/// A reference names a golden path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldenPathRef {
    /// name is the name of the GoldenPath.
    #[schemars(length(max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// version pins the service to a version of the path. Without it, the service follows the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub version: Option<String>,
}

/// How far the operator may go for a service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Report only.
    Observe,
    /// Fill what the team left open.
    #[default]
    Default,
    /// Also replace what a default forbids to change.
    Enforce,
}

/// What happens when the service goes, or one of its workloads.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Workloads that were made from a template are deleted.
    Delete,
    /// Everything stays as it is.
    Keep,
    /// Values that the path filled leave with the workload's next rollout.
    Undo,
}

/// Each entry is one workload: one that runs already, or one to make.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("has(self.ref) != has(self.template)").message(Message::Expression(
    "'the entry ' + self.name + (has(self.ref) \
     ? ' has both ref and template; keep ref to adopt what runs already, or template to have it made' \
     : ' has neither ref nor template; name what runs already by ref, or say by template what to run')".into())))]
pub struct Workload {
    /// name is what the workload is called within the service, and must be unique there.
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// ref names the running workload to adopt in place. It is neither recreated nor restarted.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<WorkloadRef>,
    /// template says what to run, and the operator makes the workload: one called as the service and the entry, such as
    /// cart-api, or cart where both are called cart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<WorkloadTemplate>,
}

/// The object of a template is called as its service and its entry are. Pods of a StatefulSet and jobs of a CronJob add
/// 11 characters to it, and 63 is as much as a label and the name of a Service take. The rule is asked about each status,
/// too, those of objects that an older definition let in without workloads included.
const TEMPLATE_NAMES_FIT: &str = "!has(self.spec.workloads) || self.spec.workloads.all(w, !has(w.template) || \
     (self.metadata.name == w.name ? 0 : self.metadata.name.size() + 1) + w.name.size() <= \
     (has(w.template.schedule) || has(w.template.kind) && w.template.kind == 'StatefulSet' ? 52 : 63))";
const TEMPLATE_NAME_TOO_LONG: &str = "the names of the service and of an entry with a template are too long together: \
     <service>-<entry> names the object, and has at most 63 characters, or 52 for a StatefulSet or a CronJob";

impl Workload {
    /// The object in the cluster: the one that is named, or the one that is made.
    #[must_use]
    pub fn target(&self, service: &str) -> WorkloadRef {
        match (&self.reference, &self.template) {
            (Some(reference), _) => reference.clone(),
            (None, template) => WorkloadRef {
                api_version: None,
                kind: template.as_ref().map(WorkloadTemplate::makes).unwrap_or_default(),
                name: if service == self.name { service.to_owned() } else { format!("{service}-{}", self.name) },
            },
        }
    }
}

/// A workload in the namespace of the service.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.apiVersion) || (self.kind == 'CronJob') == (self.apiVersion == 'batch/v1')")
    .message(Message::Expression(
        "'apiVersion ' + self.apiVersion + ' has no ' + self.kind + '; \
         write ' + (self.kind == 'CronJob' ? 'batch/v1' : 'apps/v1') + ' or leave apiVersion out'".into())))]
pub struct WorkloadRef {
    /// apiVersion is the API version of the workload. It may be left out, because the kind says it: apps/v1, or batch/v1
    /// for a CronJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^(apps|batch)/v1$"))]
    pub api_version: Option<String>,
    /// kind is the kind of the workload.
    pub kind: WorkloadKind,
    /// name is the name of the workload.
    #[schemars(length(max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

/// A kind of workload that can be adopted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    #[default]
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// batch/v1 CronJob.
    CronJob,
}

impl WorkloadKind {
    /// Every kind, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::CronJob];

    /// API version of the kind.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        if self == Self::CronJob { "batch/v1" } else { "apps/v1" }
    }

    /// The resource's name in URLs and RBAC.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
            Self::CronJob => "cronjobs",
        }
    }

    /// Path to the pod template inside the object.
    #[must_use]
    pub fn template_path(self) -> &'static [&'static str] {
        if self == Self::CronJob { &["spec", "jobTemplate", "spec", "template"] } else { &["spec", "template"] }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// status is what the operator found for the service.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformServiceStatus {
    /// observedGeneration is the generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// team is the team, declared or inferred, and `unowned` where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub team: Option<String>,
    /// goldenPath is the path that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden_path: Option<GoldenPathStatusRef>,
    /// adoption says how far the service has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// workloads has one entry for each workload of the spec that could be evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub workloads: Vec<WorkloadStatus>,
    /// defaults lists verdicts by default and workload, those that need attention first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub defaults: Vec<DefaultStatus>,
    /// defaultsTotal is the number of verdicts, those beyond the 64 of defaults included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults_total: Option<i64>,
    /// exemptions says what became of each request, and which exemptions are in force without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exemptions: Vec<ExemptionStatus>,
    /// deprecations lists objects of the service that are deprecated: those that name it in the label
    /// goldenpath.dev/service, workloads that it names, and objects that have its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub deprecations: Vec<DeprecatedObject>,
    /// deprecationsTotal counts these objects, those beyond the 20 of deprecations included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecations_total: Option<i64>,
    /// milestones says when the service got where for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestones: Option<Milestones>,
    /// reliability is how reliable the service was since it was available first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reliability: Option<Reliability>,
    /// conditions has entries of type Ready, which says whether the operator can do what the spec asks for, Adopted, which
    /// says whether every default of the path is in place, UpToDate, which says whether the service follows the version
    /// that the path has for it, Conflicted, which is True where the team decided otherwise than the path permits,
    /// UsesDeprecated, which is True while the service has something that is deprecated, and ObjectiveMet, which says whether
    /// the service is as available as it is meant to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Stands for defaults where a status is only kept to be compared, and is never written: they take most of its room.
    #[serde(skip_deserializing, skip_serializing_if = "is_private")]
    #[schemars(skip)]
    pub folded: Option<u64>,
}

/// `skip` says the same, and leaves a copy of the field, which the derived schema makes, without a reader.
fn is_private<T>(_: &T) -> bool {
    true
}

/// The path that a service has taken.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldenPathStatusRef {
    /// name is the name of the path.
    #[schemars(length(max = 63))]
    pub name: String,
    /// version is the version of the path that the service follows, as its author wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// targetVersion is the version that the path has for the service. It differs while the service is pinned to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub target_version: Option<String>,
    /// revision is the revision that the workloads are labelled with, or will be.
    #[schemars(length(max = 63))]
    pub revision: String,
    /// previousRevision is the revision that the service followed before: the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub previous_revision: Option<String>,
    /// rolledBack says of which revision the service was taken back, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

/// A revision that did a service no good.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// revision is that revision.
    #[schemars(length(max = 63))]
    pub revision: String,
    /// to is the revision that the service went back to.
    #[schemars(length(max = 63))]
    pub to: String,
    /// cause says what was seen.
    #[schemars(length(max = 512))]
    pub cause: String,
}

/// How far a service has come.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// state is the state of the workload that has the farthest to go.
    pub state: State,
    /// origin is what brought the service to the path: Greenfield when it began there, Mandated when something that it has
    /// was announced to go, with a date, before the service was created, and Voluntary when its team took it by itself.
    #[serde(default)]
    pub origin: Origin,
    /// score is the weight of the defaults in place over the weight of all that apply, such as "0.92".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub score: Option<String>,
    /// adoptedAt is when the state first was Adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted_at: Option<Time>,
}

/// What brought a service to its path.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Its team took it by itself, with workloads that ran before.
    #[default]
    Voluntary,
    /// It began on the path: a workload of it was made from a template.
    Greenfield,
    /// A Deprecation with a date, which matches something of it, came first.
    Mandated,
}

/// State of a service or of one of its workloads.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No verdict yet.
    #[default]
    NotStarted,
    /// Verdicts only.
    Observing,
    /// Something waits for a rollout, or is missing.
    Migrating,
    /// Nothing is missing.
    Adopted,
    /// Was adopted on this revision, and is not any more.
    Drifted,
    /// Every default is exempt.
    Exempt,
}

/// Each entry says what was found for one workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadStatus {
    /// name is what the workload is called within the service.
    #[schemars(length(max = 63))]
    pub name: String,
    /// kind is the kind of the workload.
    pub kind: WorkloadKind,
    /// object is the name of the object in the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub object: String,
    /// state is the state of this workload.
    pub state: State,
    /// score is the score of this workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub score: Option<String>,
    /// labelledTemplate is the hash of the pod template when the workload was labelled with the revision. A later
    /// template that still lacks its fills was not filled, and that is reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub labelled_template: Option<String>,
    /// healthyBefore says whether all pods ran when the workload was labelled: what was broken before proves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_before: Option<bool>,
    /// exercised says whether a rollout was complete since then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exercised: bool,
    /// exercisedTemplate is a hash of the pod template of that rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub exercised_template: Option<String>,
    /// rollingOutSince is when the rollout that is under way was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_out_since: Option<Time>,
}

/// Each entry is the verdict of one default on one workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct DefaultStatus {
    /// name is the name of the default in the path.
    #[schemars(length(max = 40))]
    pub name: String,
    /// workload is what the workload is called within the service.
    #[schemars(length(max = 63))]
    pub workload: String,
    /// state is the verdict.
    pub state: VerdictState,
    /// owner says who sees to it that the default is in place, as the path declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DefaultOwner>,
    /// fieldManagers lists who owns a value in the default's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub field_managers: Vec<String>,
    /// message says what the default waits for, or what is wrong: the field, the value and the fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// What is the case for one default on one workload. The order is the order of attention: worst first.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VerdictState {
    /// Not in place, and no rollout will bring it by itself.
    #[default]
    Missing,
    /// The team decided otherwise, and the path does not permit it.
    Conflict,
    /// It came with a revision that did the service no good, and went with it.
    RolledBack,
    /// Comes with a rollout that has not happened or not finished.
    PendingRollout,
    /// The team decided otherwise, as the path permits.
    Overridden,
    /// In the template and rolled out.
    Applied,
    /// The team's own value does it.
    SatisfiedByTeam,
    /// An exemption of the path says that the service does without it.
    Exempt,
}

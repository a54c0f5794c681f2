//! `Deprecation`: what is old, what comes instead, and when each door closes.
#![allow(clippy::struct_field_names)] // the dates of a timeline are called as people write them; the derived copy of a struct has no attributes

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    DeprecationExemption, DeprecationProgress, NamespaceSelector, Notified, Notify, PathReference, Priority, Risk,
    conditions,
};

/// spec says what is old, what comes instead, and when each door closes.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "goldenpath.dev",
    version = "v1alpha1",
    kind = "Deprecation",
    doc = "A Deprecation closes an old way step by step: it is announced, warned of, blocked and removed, each at its date \
        and only while its gates are open.",
    status = "DeprecationStatus",
    shortname = "depr",
    category = "golden",
    derive = "Default",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 52").message(
        "metadata.name is too long: choose at most 52 characters, because it is part of the names of policies"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".status.stage"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.next.stage"),
    printcolumn(name = "Next-At", type_ = "string", json_path = ".status.next.at", priority = 1),
    printcolumn(name = "Held-By", type_ = "string", json_path = ".status.next.heldBy", priority = 1),
    printcolumn(name = "Remaining", type_ = "integer", json_path = ".status.consumers.remaining"),
    printcolumn(name = "Teams", type_ = "integer", json_path = ".status.consumers.teams"),
    printcolumn(name = "Forecast", type_ = "string", json_path = ".status.forecast.completeBy"),
    // as text: kubectl shows a date that is to come as `<invalid>`
    printcolumn(name = "Remove-At", type_ = "string", json_path = ".spec.timeline.removeAt"),
    printcolumn(name = "WSJF", type_ = "string", json_path = ".status.wsjf"),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner.team", priority = 1),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.brownouts) || self.brownouts.size() == 0 || has(self.timeline.warnAt)").message(
    "brownouts: nobody is warned before them; set timeline.warnAt"))]
#[x_kube(validation = Rule::new("!has(self.brownouts) || !has(self.timeline.warnAt) \
    || self.brownouts.all(b, b.startAt >= self.timeline.warnAt)").message(
    "brownouts: none may begin before timeline.warnAt; move its startAt"))]
#[x_kube(validation = Rule::new("!has(self.brownouts) || !has(self.timeline.removeAt) \
    || self.brownouts.all(b, b.startAt + duration(b.duration) <= self.timeline.removeAt)").message(
    "brownouts: each must end by timeline.removeAt; move its startAt"))]
pub struct DeprecationSpec {
    /// title says in a few words what is old. Without it, the name of the object is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub title: Option<String>,

    /// owner says who removes the old way, and where that team answers. It is part of every warning and every denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DeprecationOwner>,

    /// matches lists what is old. An object is old when any of the entries matches it.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub matches: Vec<DeprecationMatch>,

    /// replacement says what comes instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Replacement>,

    /// timeline says when each stage is due. A stage without a date does not come, and without any date the Deprecation is
    /// announced and counted, and nothing else.
    #[serde(default)]
    pub timeline: Timeline,

    /// brownouts lists times at which the old way is refused for a while before it is refused for good, so that those who
    /// read no warning notice it while there is a way back. They end by themselves, also when the operator does not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub brownouts: Vec<Brownout>,

    /// gates lists what must hold before anything is refused, whatever the timeline says.
    #[serde(default)]
    pub gates: Gates,

    /// paused stops the clock: no further stage and no brownout begins, and what is refused stays refused. Move a date of
    /// the timeline to lift a block.
    #[serde(default)]
    pub paused: bool,

    /// removed says that the old way itself is gone, such as the controller that served it. With nobody left the
    /// Deprecation is then Completed.
    #[serde(default)]
    pub removed: bool,

    /// exemptions lists who may go on, until when, and who granted that. Only who can write the Deprecation can grant; teams
    /// ask with exemptionRequests in their PlatformService.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub exemptions: Vec<DeprecationExemption>,

    /// maxExemptPercent is how many percent of what is old may be exempt. Beyond it the Deprecation is Degraded; exemptions
    /// stay in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_exempt_percent: Option<i32>,

    /// notify says how those are told who still use what is old. Without it they read it in the status of their
    /// PlatformService, and in the warnings of the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,

    /// priority says what closing the old way is worth over how much work it is, so that paths and Deprecations can be ranked. The result
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

/// Who removes the old way.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeprecationOwner {
    /// team is the team that removes the old way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub team: Option<String>,
    /// contact is where that team answers, such as a channel or a mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub contact: Option<String>,
}

/// Each entry describes objects that are old. Everything that an entry says must hold.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.writtenAs) || self.writtenAs.size() == 0 \
    || !(has(self.expression) || has(self.images) && self.images.size() > 0)").message(Message::Expression(
    "'writtenAs goes with no expression and no images, which would look at a request in a version that is not the one \
     they were written for; split match ' + self.name".into())))]
#[x_kube(validation = Rule::new("!has(self.writtenAs) || self.writtenAs.all(v, self.resourceRules.exists(r, \
    (v.contains('/') ? v.split('/')[0] : '') in r.apiGroups))").message(Message::Expression(
    "'writtenAs needs the group of each version in apiGroups of a resource rule; add it to match ' + self.name".into())))]
pub struct DeprecationMatch {
    /// name is what the entry is called in messages and lists, and must be unique within the Deprecation.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// resourceRules lists the resources that are looked at.
    #[schemars(length(min = 1, max = 8))]
    pub resource_rules: Vec<ResourceRule>,

    /// namespaceSelector selects objects by the labels of their namespace. Without it, objects of all namespaces. The
    /// namespaces of the system and of the operator are never looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<NamespaceSelector>,

    /// images lists images of containers, such as "registry.example.com/base/java8*": an object matches when one of its
    /// containers, of any sort, has one of them. A * stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 255), regex(pattern = "^[!-~]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub images: Vec<String>,

    /// expression is a CEL expression that is true for an object that is old. It can use object and namespaceObject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,

    /// writtenAs lists API versions, such as autoscaling/v1: an object matches when one of its field managers writes it
    /// through one of them. Which version an object is stored in does not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(max = 317), regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub written_as: Vec<String>,
}

/// Each entry names resources, as the rules of an admission policy do.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!('goldenpath.dev' in self.apiGroups)").message(
    "apiGroups: goldenpath.dev is the operator's own and cannot be deprecated with it; take it out"))]
pub struct ResourceRule {
    /// apiGroups lists API groups; "" is the group of Pods and ConfigMaps.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(max = 253), regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"))
    )]
    pub api_groups: Vec<String>,

    /// apiVersions lists the versions in which objects are looked at. Without it, the one that the API server prefers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 63), regex(pattern = "^v[0-9]+((alpha|beta)[0-9]+)?$")))]
    pub api_versions: Vec<String>,

    /// resources lists the plural names of resources, such as ingresses.
    #[schemars(length(min = 1, max = 16), inner(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    pub resources: Vec<String>,
}

/// What comes instead.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Replacement {
    /// goldenPathRef names the path to take instead. Most gates look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden_path_ref: Option<PathReference>,

    /// guideURL is the address of a description of how to move. It is shown to people; the operator never opens it.
    #[serde(default, rename = "guideURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^https?://[!-~]+$"))]
    pub guide_url: Option<String>,

    /// fix is the change that makes an old object a new one. Each service is told what of it its object does not have yet. An
    /// object that is old with it as well is not told to take it, and condition Ready is False and names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// A change of an object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Fix {
    /// type is the sort of patch.
    #[serde(default, rename = "type")]
    pub kind: FixType,

    /// patch is the patch: for a MergePatch, the fields to set, and null for those to remove.
    #[schemars(schema_with = "patch")]
    pub patch: Map<String, Value>,
}

/// Sorts of patches.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FixType {
    /// A JSON merge patch, as `kubectl patch --type merge` takes it.
    #[default]
    MergePatch,
}

/// When each stage is due.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "((has(self.announceAt) ? [self.announceAt] : []) + (has(self.warnAt) ? [self.warnAt] : []) \
     + (has(self.blockCreateAt) ? [self.blockCreateAt] : []) + (has(self.blockUpdateAt) ? [self.blockUpdateAt] : []) \
     + (has(self.removeAt) ? [self.removeAt] : [])).isSorted()").message(
    "the dates must come in the order announceAt, warnAt, blockCreateAt, blockUpdateAt, removeAt; move one of them"))]
#[x_kube(validation = Rule::new(
    "((has(self.announceAt) ? [self.announceAt] : []) + (has(self.warnAt) ? [self.warnAt] : []) \
     + (has(self.blockCreateAt) ? [self.blockCreateAt] : []) + (has(self.blockUpdateAt) ? [self.blockUpdateAt] : []) \
     + (has(self.removeAt) ? [self.removeAt] : [])).all(t, t < timestamp('9999-12-30T00:00:00Z'))").message(
    "no date may come after the year 9999 ends; leave out what is never to come"))]
#[x_kube(validation = Rule::new("!has(self.blockCreateAt) || has(self.warnAt)").message(
    "blockCreateAt: nobody is warned before it; set warnAt as well"))]
#[x_kube(validation = Rule::new("!has(self.blockUpdateAt) || has(self.blockCreateAt)").message(
    "blockUpdateAt: new objects would go on being created; set blockCreateAt as well"))]
pub struct Timeline {
    /// announceAt is when everybody is told. Without it, when the Deprecation is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announce_at: Option<Time>,
    /// warnAt is from when on the API server answers with a warning whoever writes an old object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Time>,
    /// blockCreateAt is from when on nothing old can be created, and no object can be made an old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_create_at: Option<Time>,
    /// blockUpdateAt is from when on the content of old objects cannot be changed unless it stops to be old. Status,
    /// scale, labels, finalizers and deletion pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_update_at: Option<Time>,
    /// removeAt is when the old way goes. What is old is refused from then on if blockCreateAt was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_at: Option<Time>,
}

/// Each entry is a time at which the old way is refused early.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.startAt < timestamp('9999-12-30T00:00:00Z')").message(
    "startAt: no brownout may begin after the year 9999 ends; take it out"))]
pub struct Brownout {
    /// name is what the brownout is called, and must be unique within the Deprecation.
    #[schemars(length(max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// startAt is when it begins. It is left out where a gate is closed then.
    pub start_at: Time,
    /// duration is how long it lasts, such as 1h.
    #[schemars(length(min = 2, max = 16), regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub duration: String,
    /// action says what is refused: DenyCreate as from blockCreateAt on, DenyUpdate as from blockUpdateAt on.
    #[serde(default)]
    pub action: BrownoutAction,
}

/// What a brownout refuses.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrownoutAction {
    /// What stage CreateBlocked refuses.
    #[default]
    DenyCreate,
    /// What stage UpdateBlocked refuses.
    DenyUpdate,
}

/// What must hold before anything is refused.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// replacementStage is the stage that the replacing path must have at least. None asks for no path at all, for what
    /// has a replacement that is none; gates about the path then hold only where goldenPathRef names one.
    #[serde(default)]
    pub replacement_stage: ReplacementStage,
    /// minReplacementAdopters is how many services must have adopted the replacing path.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100_000))]
    pub min_replacement_adopters: i32,
    /// minReplacementAdoptionPercent is how many percent of the eligible workloads must be on the replacing path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub min_replacement_adoption_percent: Option<i32>,
    /// requireObjectiveMet says that the replacing path must be as available as its objectives say. As long as that is not
    /// known, it is not met.
    #[serde(default = "yes")]
    pub require_objective_met: bool,
    /// minNotice is how long everybody must have known, counted from when the Deprecation was in fact announced.
    #[serde(default = "thirty_days")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"))]
    pub min_notice: String,
    /// maxRemainingPercent is how many percent of what was ever old may be left before existing objects are blocked or the
    /// old way is removed. Blocking new ones does not wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_remaining_percent: Option<i32>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            replacement_stage: ReplacementStage::default(),
            min_replacement_adopters: one(),
            min_replacement_adoption_percent: None,
            require_objective_met: yes(),
            min_notice: thirty_days(),
            max_remaining_percent: None,
        }
    }
}

fn one() -> i32 {
    1
}

pub(super) fn yes() -> bool {
    true
}

fn thirty_days() -> String {
    "720h".to_owned()
}

/// How far a replacing path must be.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplacementStage {
    /// Nothing is asked for.
    None,
    /// It can be tried.
    Preview,
    /// It is ready for everybody.
    #[default]
    Stable,
}

/// The fields of a patch are those of the object, whose schema is the API server's.
fn patch(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// How far a Deprecation is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeprecationStage {
    /// Nobody is told yet.
    #[default]
    Planned,
    /// It is told wherever people look, and nothing else happens.
    Announced,
    /// The API server warns.
    Warning,
    /// Nothing old can be created.
    CreateBlocked,
    /// Old objects cannot be changed.
    UpdateBlocked,
    /// The old way is to be gone.
    Removed,
    /// It is gone, and nobody uses it.
    Completed,
}

/// What holds a stage back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum Gate {
    /// The Deprecation is paused.
    Paused,
    /// The replacing path is missing, or its stage is too early or too late.
    ReplacementStage,
    /// Too few services have adopted it.
    MinReplacementAdopters,
    /// Too few workloads are on it.
    MinReplacementAdoptionPercent,
    /// Its objective is missed or not known.
    RequireObjectiveMet,
    /// Not everybody has known for long enough.
    MinNotice,
    /// Too much of the old is left, or how much is not known.
    MaxRemainingPercent,
    /// Somebody who is not exempt still uses it, or that is not known.
    Remaining,
    /// The platform team has not set removed.
    Removed,
}

/// status is what became of the Deprecation.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeprecationStatus {
    /// observedGeneration is the generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// stage is the stage that is in force.
    #[serde(default)]
    pub stage: DeprecationStage,
    /// stages lists when each stage that is in force or was passed was entered. A stage that was lifted is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["stage".into()]))]
    pub stages: Vec<StageEntry>,
    /// matches lists since when each entry of matches has been announced. One that was changed is announced anew, and
    /// refuses nothing before the notice is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub matches: Vec<AnnouncedMatch>,
    /// brownouts lists the brownouts that are in force, or about to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 40)))]
    pub brownouts: Vec<String>,
    /// next says which stage comes, when, and what holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStage>,
    /// notified says when people were told last, and of which stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
    /// wsjf is the weighted shortest job first of spec.priority: the sum of businessValue, timeCriticality and riskReduction,
    /// over jobSize. The highest comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub wsjf: Option<String>,
    /// progress says who still uses what is old.
    #[serde(flatten)]
    pub progress: DeprecationProgress,
    /// conditions has entries of type Ready, which says whether the Deprecation is understood and everything that it
    /// matches can be read, ReplacementReady, which says whether the gates about the replacement are open, Enforced, which
    /// says whether the API server does what the stage says, OnTrack and Completed, and Degraded, which is True where the
    /// owner is needed: too much is exempt, an exemption has ended, or a risk is overdue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// Each entry is a stage that was entered.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StageEntry {
    /// stage is the stage that was entered.
    pub stage: DeprecationStage,
    /// enteredAt is when that was, which may be later than the timeline says.
    pub entered_at: Time,
}

/// Each entry is an entry of matches that was announced.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncedMatch {
    /// name is its name.
    #[schemars(length(max = 40))]
    pub name: String,
    /// content is a hash of what it says.
    #[schemars(length(max = 16))]
    pub content: String,
    /// announcedAt is since when it has been so.
    pub announced_at: Time,
    /// noticed says that its notice was over while nothing held the stage: it takes part in what the stage refuses.
    #[serde(default)]
    pub noticed: bool,
    /// provedBy is the version of the compiler whose policies for this entry were proved: the API server says of objects what
    /// is counted of them. Nothing is put in force for an entry before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub proved_by: Option<i64>,
}

/// The stage that comes next.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NextStage {
    /// stage is the stage that comes.
    pub stage: DeprecationStage,
    /// at is the earliest time at which it can come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// heldBy lists the gates that are closed, by the names of their fields in gates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub held_by: Vec<Gate>,
}

//! Condition types and their reasons, spelled once.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use schemars::{Schema, SchemaGenerator};
use serde_json::json;

/// Most conditions of an object: ours and those of others.
const MAX_CONDITIONS: usize = 32;

/// Schema of a list of conditions, with the limits of Kubernetes' own; the generated type of a condition has none.
pub fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut list = generator.subschema_for::<Vec<Condition>>();
    list.insert("maxItems".to_owned(), json!(MAX_CONDITIONS));
    for (field, limit) in [("message", 32_768), ("reason", 1024), ("type", 316)] {
        if let Some(field) = list.pointer_mut(&format!("/items/properties/{field}")) {
            field["maxLength"] = json!(limit);
        }
    }
    if let Some(status) = list.pointer_mut("/items/properties/status") {
        status["enum"] = json!(["True", "False", "Unknown"]);
    }
    list
}

/// The API keeps whole seconds; anything finer would differ from itself after a round trip and be written for ever.
#[must_use]
pub fn whole_second(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Types of conditions. `True` is good, but for those that [`ConditionType::is_bad`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The object is understood and everything it asks for is done or under way.
    Ready,
    /// Every default of the path is in place on every workload of the service.
    Adopted,
    /// The service follows the version that the path has for it, and that is not about to end.
    UpToDate,
    /// The team decided otherwise than the path permits.
    Conflicted,
    /// Something about the path needs its owner.
    Degraded,
    /// The current revision has reached every service, and they are well.
    RolledOut,
    /// The current revision is on its way.
    Progressing,
    /// The service, or all services of the path together, are as available as they are meant to be.
    ObjectiveMet,
    /// Something of the service is deprecated.
    UsesDeprecated,
    /// What replaces the old way is ready to be moved to.
    ReplacementReady,
    /// The API server does what the stage of the Deprecation says.
    Enforced,
    /// The old way will be gone at its date.
    OnTrack,
    /// The old way is gone, and nobody uses it.
    Completed,
}

impl ConditionType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Ready,
        Self::Adopted,
        Self::UpToDate,
        Self::Conflicted,
        Self::Degraded,
        Self::RolledOut,
        Self::Progressing,
        Self::ObjectiveMet,
        Self::UsesDeprecated,
        Self::ReplacementReady,
        Self::Enforced,
        Self::OnTrack,
        Self::Completed,
    ];

    /// Whether nobody needs to be told of it from the start.
    #[must_use]
    pub fn is_silent_at_first(self) -> bool {
        !matches!(self, Self::Ready | Self::Adopted)
    }

    /// Whether `True` is bad.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Conflicted | Self::Degraded | Self::UsesDeprecated)
    }
}

/// Why a condition is as it is. The name is the text in the status, in Events and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Everything is as it should be.
    Ready,
    /// The service's path does not exist.
    PathNotFound,
    /// The service names no path, and no path names its workloads' kind in `defaultFor`.
    NoDefaultPath,
    /// The path exists and cannot be used yet; its own status says why.
    PathNotReady,
    /// A workload that the service names does not exist (yet).
    WorkloadNotFound,
    /// Another, older PlatformService has claimed the workload.
    WorkloadClaimed,
    /// The workload belongs to another controller, which would undo or repeat whatever is done to it.
    WorkloadManaged,
    /// A template cannot be made into a workload.
    InvalidTemplate,
    /// An object of that name exists and was not made for the service.
    NameTaken,
    /// Another field manager sets what the template says; its value stays.
    FieldConflict,
    /// The namespace is excluded: nothing in it is ever touched.
    NamespaceExcluded,
    /// The stored object cannot be read as this version of the kind.
    Undecodable,
    /// The API server refused a request.
    ApiServerRefused,
    /// An entry of `overrides` names a default that does not exist or that the path forbids to override, or it has ended.
    InvalidOverride,
    /// The path never had the version that the service is pinned to, or does not keep it any more.
    VersionNotFound,
    /// `suspend: true`: the operator writes nothing for this service.
    Suspended,

    /// A `podTemplate` names a field that does not exist, cannot be filled or has a wrong value.
    InvalidDefault,
    /// A `check` is not a boolean CEL expression within the limits.
    InvalidCheck,
    /// The path asks for admission feedback that it cannot have, or that the API server refuses.
    InvalidAdmission,
    /// An older path already claims a kind in `defaultFor`.
    DefaultForTaken,
    /// Services follow another content under the same version.
    VersionReused,
    /// The path would be replaced by itself, over others.
    CyclicRetirement,
    /// An exemption names a default that no revision has, or a selector that cannot be read.
    InvalidExemption,
    /// The stage says that the path cannot be adopted.
    StageNotAdoptable,
    /// The compiled policy is being proved on the API server.
    Proving,
    /// The compiled policy does not do what it should; nobody is adopted onto it.
    ProofFailed,
    /// A person deleted the policy binding; it stays deleted until the path is resumed.
    BindingDeleted,
    /// A newer operator wrote the policies; this one leaves them alone.
    NewerCompiler,
    /// It can be taken, and the operator itself fills, behind rollouts: the API server does not serve MutatingAdmissionPolicy
    /// `v1` (Kubernetes 1.36 and newer do).
    FilledByOperator,

    /// No verdict yet.
    NotStarted,
    /// `mode: Observe`: verdicts only.
    Observing,
    /// Some defaults wait for a rollout or are missing.
    Migrating,
    /// Nothing is missing.
    Adopted,
    /// Was adopted on this revision and is not any more.
    Drifted,
    /// Every default is exempt.
    Exempt,

    /// The service follows the path as it is now.
    UpToDate,
    /// The service is pinned to another version.
    Pinned,
    /// The version that the service is pinned to ends.
    VersionRetiring,
    /// The path ends.
    PathRetiring,
    /// The wave of the service has not begun.
    WaitingForWave,
    /// The service was well before its rollout and not after it, and went back.
    RolledBack,
    /// The revision was taken back from every service.
    RolloutAborted,

    /// Every wave has moved.
    Complete,
    /// It waits until enough services of the wave have rolled out.
    Exercising,
    /// Enough have, and nothing must fail for a while.
    Soaking,
    /// The next wave waits for a promotion.
    AwaitingApproval,
    /// It is paused.
    Paused,

    /// The team decided otherwise than the path permits.
    Conflicted,
    /// Nothing that the team decided is against the path.
    NoConflict,

    /// Availability is as it is meant to be.
    ObjectiveMet,
    /// Availability is below the objective.
    ObjectiveMissed,
    /// Too little was seen to say so.
    ObjectiveUnknown,

    /// More services are exempt than the path allows for.
    TooManyExemptions,
    /// An exemption has ended and stands in the path still.
    ExemptionExpired,
    /// A risk is open past its date.
    RiskOverdue,
    /// Nothing needs the path's owner.
    Healthy,

    /// An entry of `matches` cannot be compiled.
    InvalidMatch,
    /// The API server does not serve a resource that is matched.
    ResourceNotServed,
    /// The operator may not read a resource that is matched.
    ResourceForbidden,
    /// Somebody is to be told whom nobody configured.
    ReceiverNotFound,
    /// The objects that are matched have not been listed yet.
    NotCounted,
    /// An expression fails on some objects.
    Unevaluable,
    /// Something that the operator needs to know has not come, or cannot be read.
    Waiting,
    /// The fix of a Deprecation makes new ones of only some of the objects that it matches, or of none.
    FixDoesNotApply,

    /// The old way is gone, and nobody uses it.
    Completed,
    /// There is no date to miss.
    NoDate,
    /// Nobody uses the old way any more.
    NobodyLeft,
    /// The date has passed and some use the old way still.
    StragglersLeft,
    /// Nobody uses the old way and it is still there.
    NotRemoved,
    /// Too little is remembered for a forecast.
    ForecastUnknown,
    /// As it goes on, the date will be missed.
    ForecastLate,
    /// As it goes on, the date will be met.
    OnTrack,
    /// Objects of the service are deprecated.
    UsesDeprecated,
    /// Nothing of the service is deprecated.
    NothingDeprecated,
    /// What replaces the old way can be moved to.
    ReplacementReady,
    /// What replaces the old way is not there, or not ready yet.
    ReplacementNotReady,
    /// The stage asks the API server for nothing.
    NothingToEnforce,
    /// The API server does what the stage says.
    Enforced,
    /// The old way is not gone yet, or some use it.
    InProgress,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

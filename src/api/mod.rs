//! The kinds of `goldenpath.dev/v1alpha1`: what app teams and the platform team write, and what the operator answers.

pub mod admission;
pub mod adoption;
pub mod companion;
pub mod conditions;
pub mod crds;
pub mod deprecated_object;
pub mod deprecation;
pub mod deprecation_exemption;
pub mod deprecation_progress;
pub mod exemptions;
pub mod experience;
pub mod golden_path;
pub mod labels;
pub mod notify;
pub mod platform_service;
pub mod program;
pub mod reliability;
pub mod rollout;
pub mod selectors;
pub mod template;

pub use admission::{Admission, AdmissionLevel, FailurePolicy};
pub use adoption::{AdoptionWeek, PathAdoption, ServiceCounts, TeamCounts, WorkloadCounts};
pub use companion::Companion;
pub use conditions::{ConditionType, Reason};
pub use deprecated_object::DeprecatedObject;
pub use deprecation::{
    AnnouncedMatch, Brownout, BrownoutAction, Deprecation, DeprecationMatch, DeprecationOwner, DeprecationSpec,
    DeprecationStage, DeprecationStatus, Fix, FixType, Gate, Gates, NextStage, Replacement, ReplacementStage,
    ResourceRule, StageEntry, Timeline,
};
pub use deprecation_exemption::{DeprecationExemption, UsedExemption};
pub use deprecation_progress::{Consumers, DeprecationProgress, DeprecationTeam, DeprecationWeek, Forecast, Straggler};
pub use exemptions::{
    DefaultOverride, Exemption, ExemptionKind, ExemptionRequest, ExemptionSource, ExemptionState, ExemptionStatus,
    ExemptionSubject, GrantedExemption, OverrideAction,
};
pub use experience::{Feedback, Milestones};
pub use golden_path::{
    Category, DefaultOwner, GoldenPath, GoldenPathSpec, GoldenPathStatus, Override, PathDefault, PathOwner,
    PathReference, RetiredVersion, Retirement, Stage, Timing,
};
pub use notify::{Notified, Notify};
pub use platform_service::{
    Adoption, DefaultStatus, DeletionPolicy, GoldenPathRef, GoldenPathStatusRef, Mode, Origin, PlatformService,
    PlatformServiceSpec, PlatformServiceStatus, RolledBack, State, VerdictState, Workload, WorkloadKind, WorkloadRef,
    WorkloadStatus,
};
pub use program::{Grade, Priority, Risk, RiskState};
pub use reliability::{DayOfOutage, Objectives, Reliability};
pub use selectors::{NamespaceSelector, SelectorOperator, SelectorRequirement};
pub use template::{Probes, TemplateKind, WorkloadTemplate};

pub use rollout::{Abort, Approval, Promotion, Rollout, RolloutPhase, RolloutStatus, Tier, Wave};

/// The API group of every kind.
pub const GROUP: &str = "goldenpath.dev";
/// The served and stored version of every kind.
pub const VERSION: &str = "v1alpha1";

/// A short human text for a JSON value in a message: never longer than a line of a terminal.
#[must_use]
pub fn brief(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 120 { text } else { text.chars().take(117).chain("...".chars()).collect() }
}

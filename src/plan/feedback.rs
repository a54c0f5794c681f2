//! What the API server should say about a workload when it is written: the checks of a path that do not hold for it.

use serde_json::Value;

use super::revision::{Revision, Rule};
use super::service::template;
use crate::api::{AdmissionLevel, GoldenPathSpec, Stage, WorkloadKind};
use crate::cel::Subject;

/// Why a path cannot have the admission feedback that it asks for. The text names the field, the value and the fix.
///
/// The definition refuses each of them; a path that was stored under an older one is met here.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum InvalidAdmission {
    /// Nobody is refused anything by a path that is still being tried.
    #[error(
        "admission.level: Deny needs a path that is ready for everybody, and this one is of stage {stage:?}; \
         set level: Warn, or stage: Stable"
    )]
    Stage {
        /// The stage.
        stage: Stage,
    },
    /// No workload takes the path by default.
    #[error(
        "admission.level: without a kind in defaultFor there is no workload to look at; add one, or set level: \"Off\""
    )]
    NoKind,
    /// There is nothing to say.
    #[error("admission.level: no default has a check, so there is nothing to say; add one, or set level: \"Off\"")]
    NoCheck,
}

/// Refuses a path's `admission` where it contradicts the rest of the path.
pub fn check_admission(spec: &GoldenPathSpec) -> Result<(), InvalidAdmission> {
    let level = spec.admission_level();
    // Retiring counts as Stable: a path that was good enough to refuse what is off it must be able to say that it ends
    let settled = matches!(spec.stage, Stage::Stable | Stage::Retiring);
    match level {
        AdmissionLevel::Off => Ok(()),
        AdmissionLevel::Deny if !settled => Err(InvalidAdmission::Stage { stage: spec.stage }),
        _ if spec.default_for.is_empty() => Err(InvalidAdmission::NoKind),
        _ if spec.defaults.iter().all(|default| default.check.is_none()) => Err(InvalidAdmission::NoCheck),
        _ => Ok(()),
    }
}

/// The defaults of a revision that have a check, in the order of the path.
pub fn checked(revision: &Revision) -> impl Iterator<Item = &Rule> {
    revision.rules.iter().filter(|rule| rule.check.is_some())
}

/// The checks that do not hold for a workload, by their positions in [`checked`]. An error names the default.
pub fn failing(
    kind: WorkloadKind,
    object: &Value,
    namespace: &Value,
    revision: &Revision,
) -> Result<Vec<usize>, String> {
    let subject = Subject { object, namespace_object: namespace, template: template(kind, object) };
    let mut failing = Vec::new();
    for (n, rule) in checked(revision).enumerate() {
        let named = |error: &str| format!("defaults[{}].check: {error}", rule.name);
        let Some(check) = rule.compiled_check() else { continue };
        let holds = check.map_err(named)?.evaluate(&subject).map_err(|error| named(&error.to_string()))?;
        if !holds {
            failing.push(n);
        }
    }
    Ok(failing)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::{Admission, GoldenPath, PathDefault};
    use crate::plan::probe::{FeedbackProbe, feedback_probes};

    fn spec(level: AdmissionLevel, stage: Stage) -> GoldenPathSpec {
        let default = |name: &str, check: &str| PathDefault {
            name: name.into(),
            check: Some(check.into()),
            ..PathDefault::default()
        };
        GoldenPathSpec {
            stage,
            default_for: vec![WorkloadKind::Deployment],
            defaults: vec![
                default("a", "variables.template.spec.containers.size() == 1"),
                PathDefault { name: "filled".into(), ..PathDefault::default() },
                default("b", "object.metadata.name == 'other'"),
                default("c", "object.spec.paused == true"),
            ],
            admission: Some(Admission { level, ..Admission::default() }),
            ..GoldenPathSpec::default()
        }
    }

    #[rstest]
    #[case::off(AdmissionLevel::Off, Stage::Idea, true)]
    #[case::warn_early(AdmissionLevel::Warn, Stage::Preview, true)]
    #[case::deny_early(AdmissionLevel::Deny, Stage::Preview, false)]
    #[case::deny_of_an_idea(AdmissionLevel::Deny, Stage::Idea, false)]
    #[case::deny(AdmissionLevel::Deny, Stage::Stable, true)]
    #[case::deny_to_the_end(AdmissionLevel::Deny, Stage::Retiring, true)]
    fn nobody_is_refused_by_a_path_that_is_still_tried(
        #[case] level: AdmissionLevel,
        #[case] stage: Stage,
        #[case] accepted: bool,
    ) {
        assert_eq!(check_admission(&spec(level, stage)).is_ok(), accepted);
    }

    #[test]
    fn a_path_that_could_never_say_anything_is_refused() {
        let mut none = spec(AdmissionLevel::Warn, Stage::Stable);
        none.default_for.clear();
        assert_eq!(check_admission(&none), Err(InvalidAdmission::NoKind));
        let mut none = spec(AdmissionLevel::Warn, Stage::Stable);
        none.defaults.iter_mut().for_each(|default| default.check = None);
        assert_eq!(check_admission(&none), Err(InvalidAdmission::NoCheck));
    }

    #[test]
    fn checks_are_counted_without_the_defaults_that_have_none() {
        let mut spec = spec(AdmissionLevel::Warn, Stage::Stable);
        spec.defaults[3].check = Some("has(object.spec.paused)".into());
        let revision = Revision::draft(&GoldenPath::new("web", spec)).unwrap();
        let FeedbackProbe { kind, object, .. } = feedback_probes(&[WorkloadKind::Deployment]).remove(0);
        assert_eq!(failing(kind, &object, &json!({}), &revision), Ok(vec![1, 2]));
    }

    #[test]
    fn a_check_that_stops_with_an_error_is_named() {
        let revision = Revision::draft(&GoldenPath::new("web", spec(AdmissionLevel::Warn, Stage::Stable))).unwrap();
        let FeedbackProbe { kind, object, .. } = feedback_probes(&[WorkloadKind::Deployment]).remove(0);
        let error = failing(kind, &object, &json!({}), &revision).unwrap_err();
        assert!(error.starts_with("defaults[c].check: ") && error.contains("has(object.spec.paused)"), "{error}");
    }
}

//! How teams fare with a path: how soon they run on it, how content they are, and what brought them there.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::spread::{FIRST, Spread, elapsed};
use crate::api::{
    ConditionType, Deprecation, DeprecationStage, Milestones, Origin, PlatformService, PlatformServiceStatus,
    Reliability,
};
use crate::plan::deprecation::deadline;

/// The milestones of a service. `watched` says that it has a workload that is meant to have pods now: then all of them must
/// have run, which its reliability says.
///
/// The times are those of the status, so that a service which was there before this field, or whose operator was restarted,
/// is not taken for one that got there today.
#[must_use]
pub fn milestones(
    before: &PlatformServiceStatus,
    conditions: &[Condition],
    reliability: Option<&Reliability>,
    watched: bool,
) -> Option<Milestones> {
    if before.milestones.as_ref().is_some_and(|known| known.first_ready_at.is_some()) {
        return before.milestones.clone();
    }
    let ready = ConditionType::Ready.to_string();
    let ready = conditions.iter().find(|condition| condition.type_ == ready && condition.status == "True")?;
    let ran = reliability.map(|reliability| reliability.since.0);
    if watched && ran.is_none() {
        return before.milestones.clone();
    }
    let first = ran.map_or(ready.last_transition_time.0, |ran| ran.max(ready.last_transition_time.0));
    Some(Milestones { first_ready_at: Some(Time(first)) })
}

/// Whether a deadline came before the service: it had been announced when the service was created.
#[must_use]
pub fn came_before(deprecation: &Deprecation, created: Option<Timestamp>) -> bool {
    let stages = deprecation.status.iter().flat_map(|status| &status.stages);
    let told = stages.filter(|entry| entry.stage != DeprecationStage::Planned).map(|entry| entry.entered_at.0).min();
    let has_deadline = deadline(&deprecation.spec.timeline).is_some();
    has_deadline && told.zip(created).is_some_and(|(told, created)| told < created)
}

/// How teams fare with one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathExperience {
    /// From the creation of services to their first running pods, by what brought them.
    pub first_deploys: BTreeMap<Origin, Spread>,
    /// How many gave each score, from 1 to 5.
    pub scores: [u64; 5],
}

impl PathExperience {
    /// The mean of the scores; nothing where nobody gave one.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // services of one cluster
    pub fn mean(&self) -> Option<f64> {
        let all: u64 = self.scores.iter().sum();
        let points: u64 = (1..).zip(self.scores).map(|(score, n)| score * n).sum();
        (all > 0).then(|| points as f64 / all as f64)
    }
}

/// How teams fare, by the path that their services follow.
#[must_use]
pub fn by_path<'a>(services: impl Iterator<Item = &'a PlatformService>) -> BTreeMap<String, PathExperience> {
    let mut all: BTreeMap<String, PathExperience> = BTreeMap::new();
    for service in services {
        let Some(status) = &service.status else { continue };
        let Some(followed) = &status.golden_path else { continue };
        let of_path = all.entry(followed.name.clone()).or_default();
        let first = status.milestones.as_ref().and_then(|milestones| milestones.first_ready_at.as_ref());
        let created = service.metadata.creation_timestamp.as_ref();
        if let Some(took) = created.zip(first).and_then(|(created, first)| elapsed(created.0, first.0)) {
            let origin = status.adoption.as_ref().map(|adoption| adoption.origin).unwrap_or_default();
            of_path.first_deploys.entry(origin).or_default().add(FIRST, took);
        }
        // a score that the definition of an older operator let in is none
        let score = service.spec.feedback.as_ref().and_then(|feedback| usize::try_from(feedback.score - 1).ok());
        if let Some(count) = score.and_then(|score| of_path.scores.get_mut(score)) {
            *count += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn condition(status: &str, since: i64) -> Condition {
        Condition {
            type_: "Ready".into(),
            status: status.into(),
            last_transition_time: Time(at(since)),
            reason: "Ready".into(),
            message: String::new(),
            observed_generation: None,
        }
    }

    fn reliability(since: i64) -> Reliability {
        Reliability { availability30d: "100".into(), since: Time(at(since)), down_since: None, outages: Vec::new() }
    }

    #[rstest]
    #[case::not_ready("False", Some(5), true, None)]
    #[case::pods_do_not_run_yet("True", None, true, None)]
    #[case::pods_run_after_it("True", Some(70), true, Some(70))]
    #[case::pods_ran_before_it("True", Some(5), true, Some(60))]
    #[case::there_are_no_pods_to_wait_for("True", None, false, Some(60))]
    fn a_service_is_ready_first_when_it_is_ready_and_runs(
        #[case] ready: &str,
        #[case] ran: Option<i64>,
        #[case] watched: bool,
        #[case] expected: Option<i64>,
    ) {
        let before = PlatformServiceStatus::default();
        let found = milestones(&before, &[condition(ready, 60)], ran.map(reliability).as_ref(), watched);
        let found = found.and_then(|milestones| milestones.first_ready_at).map(|at| at.0.as_second());
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_first_stays_first() {
        let first = Some(Milestones { first_ready_at: Some(Time(at(7))) });
        let before = PlatformServiceStatus { milestones: first.clone(), ..Default::default() };
        assert_eq!(milestones(&before, &[condition("True", 60)], Some(&reliability(50)), true), first);
        assert_eq!(milestones(&before, &[condition("False", 60)], None, true), first);
    }

    fn service(created: Option<&str>, ready: Option<&str>, score: i64) -> PlatformService {
        serde_json::from_value(json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
            "metadata": {"name": "web", "creationTimestamp": created},
            "spec": {"workloads": [], "feedback": {"score": score, "comment": "\"\n"}},
            "status": {
                "goldenPath": {"name": "web", "revision": "r"}, "milestones": {"firstReadyAt": ready},
                "adoption": {"state": "Adopted", "origin": "Greenfield"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn times_that_are_missing_or_go_back_count_nowhere_and_scores_do() {
        let services = [
            service(Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:30Z"), 5),
            service(Some("2026-01-01T00:00:00Z"), None, 4),
            service(None, Some("2026-01-01T00:00:30Z"), 2),
            service(Some("2026-01-01T00:00:00Z"), Some("2025-01-01T00:00:00Z"), 0),
            service(Some("2026-01-01T00:00:00Z"), Some("2026-01-01T00:00:00Z"), i64::from(i32::MAX)),
        ];
        let all = by_path(services.iter());
        let shown = all["web"].first_deploys[&Origin::Greenfield].shown(FIRST);
        assert_eq!((shown.count, shown.buckets[0].1, shown.buckets[1].1), (2, 1, 2));
        assert_eq!((all["web"].scores, all["web"].mean()), ([0, 1, 0, 1, 1], Some(11.0 / 3.0)));
        assert_eq!(PathExperience::default().mean(), None, "nothing over nothing is not a number");
    }

    #[rstest]
    #[case::announced_before(json!({"removeAt": "2027-01-01T00:00:00Z"}), 99, true)]
    #[case::announced_after(json!({"removeAt": "2027-01-01T00:00:00Z"}), 101, false)]
    #[case::without_a_deadline(json!({}), 99, false)]
    fn a_deadline_comes_first_when_it_was_announced_before(
        #[case] timeline: Value,
        #[case] told: i64,
        #[case] expected: bool,
    ) {
        let deprecation: Deprecation = serde_json::from_value(json!({
            "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": "old"},
            "spec": {"matches": [], "timeline": timeline},
            "status": {"stage": "Announced", "stages": [
                {"stage": "Planned", "enteredAt": at(1).to_string()},
                {"stage": "Announced", "enteredAt": at(told).to_string()},
            ]},
        }))
        .unwrap();
        assert_eq!(came_before(&deprecation, Some(at(100))), expected);
        assert!(!came_before(&deprecation, None));
    }
}

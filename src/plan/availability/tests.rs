use rstest::rstest;
use serde_json::json;

use super::*;

const START: i64 = 1_800_000_000; // 2027-01-15T08:00:00Z

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn up() -> Sight {
    Sight { up: true, since: None }
}

fn down() -> Sight {
    Sight { up: false, since: None }
}

/// What is known after looks at one workload, each at its second.
fn after(looks: &[(i64, Sight)], objective: Option<&str>) -> Option<Reliability> {
    looks.iter().fold(None, |before, (second, sight)| look(before.as_ref(), &[*sight], objective, at(*second)))
}

fn deployment(pods: i64) -> Value {
    let condition = json!({"type": "Available", "status": "True", "lastTransitionTime": "2027-01-15T08:00:00Z"});
    json!({"spec": {"replicas": 2}, "status": {"availableReplicas": pods, "conditions": [condition]}})
}

#[rstest]
#[case::available(WorkloadKind::Deployment, deployment(2), Some(true))]
#[case::not_available(WorkloadKind::Deployment, deployment(0), Some(false))]
#[case::one_of_two(WorkloadKind::StatefulSet, json!({"spec": {"replicas": 2}, "status": {"availableReplicas": 1}}), Some(true))]
#[case::none_of_two(WorkloadKind::StatefulSet, json!({"spec": {"replicas": 2}, "status": {}}), Some(false))]
#[case::scaled_to_zero(WorkloadKind::StatefulSet, json!({"spec": {"replicas": 0}, "status": {}}), None)]
#[case::on_no_node(WorkloadKind::DaemonSet, json!({"status": {"desiredNumberScheduled": 0}}), None)]
#[case::on_a_node(WorkloadKind::DaemonSet, json!({"status": {"desiredNumberScheduled": 2, "numberAvailable": 1}}), Some(true))]
#[case::a_job_is_not_available(WorkloadKind::CronJob, json!({}), None)]
fn a_workload_is_available_as_its_controller_says(
    #[case] kind: WorkloadKind,
    #[case] object: Value,
    #[case] expected: Option<bool>,
) {
    assert_eq!(sight(kind, &object).map(|sight| sight.up), expected);
}

#[test]
fn what_was_never_available_is_not_judged() {
    assert_eq!(after(&[(0, down()), (9, down())], None), None);
    assert_eq!(look(None, &[], None, at(0)), None);
}

#[test]
fn looks_that_show_nothing_new_write_nothing() {
    let first = after(&[(0, up())], Some("99.9"));
    assert_eq!(after(&[(0, up()), (500, up()), (90_000, up())], Some("99.9")), first);
    assert_eq!(first.unwrap().availability30d, "100.00");
}

#[test]
fn an_outage_is_counted_on_its_days() {
    let midnight = 16 * 3600;
    let looks = [(0, up()), (midnight - 60, down()), (midnight - 30, down()), (midnight + 30, up())];
    let known = after(&looks, None).unwrap();
    let days: Vec<(&str, i64)> = known.outages.iter().map(|day| (day.date.as_str(), day.seconds)).collect();
    assert_eq!(days, [("2027-01-15", 60), ("2027-01-16", 30)]);
    assert_eq!((known.down_since.clone(), known.availability30d.as_str()), (None, "99.84"));
    // a month later it is forgotten
    let later = look(Some(&known), &[up()], None, at(31 * 86_400)).unwrap();
    assert_eq!((later.outages.len(), later.availability30d.as_str()), (0, "100.00"));
}

#[test]
fn the_api_server_says_when_a_deployment_came_back_while_nobody_looked() {
    let back = |second: i64| Sight { up: true, since: Some(at(second)) };
    let seconds = |since: i64| after(&[(0, up()), (1000, down()), (9000, back(since))], None).unwrap().outages;
    assert_eq!(seconds(1400)[0].seconds, 400);
    // it holds since before: it asks for less than one pod
    assert_eq!(seconds(-100)[0].seconds, 8000);
    assert_eq!(sight(WorkloadKind::Deployment, &deployment(1)).unwrap().since, Some(at(0)));
}

#[test]
fn while_an_outage_lasts_one_thing_is_news_that_the_objective_is_missed() {
    let objective = Some("99.9");
    let begins = [(0, up()), (90_000, down())];
    let known = after(&begins, objective).unwrap();
    assert_eq!(Watched::of(&known, at(90_000)).meets("99.9"), Some(true));
    assert_eq!(changes_at(&known, "99.9", at(90_000)), Some(at(90_091)));
    let more = |second: i64| after(&[begins.as_slice(), &[(second, down())]].concat(), objective).unwrap();
    assert_eq!(more(90_080), known);
    let missed = more(90_091);
    assert_eq!((missed.availability30d.as_str(), missed.down_since.is_some()), ("99.89", true));
    assert_eq!(look(Some(&missed), &[down()], objective, at(90_300)).unwrap(), missed);
}

#[rstest]
#[case::never_down(90_000, 0, Some(true))]
#[case::a_first_hour(3600, 60, None)]
#[case::too_long_for_a_day(3600, 87, Some(false))]
#[case::as_long_as_allowed(100_000, 100, Some(true))]
#[case::longer(100_000, 101, Some(false))]
fn an_objective_is_judged_over_a_day_at_least(#[case] total: i64, #[case] down: i64, #[case] met: Option<bool>) {
    assert_eq!(Watched { total, down }.meets("99.9"), met);
}

#[rstest]
#[case::nothing(0, 0, "100.00")]
#[case::rounded_down(1_000_000, 1, "99.99")]
#[case::all(100, 100, "0.00")]
fn percent_is_rounded_down(#[case] total: i64, #[case] down: i64, #[case] text: &str) {
    assert_eq!(Watched { total, down }.percent(), text);
}

#[test]
fn an_objective_that_was_missed_is_looked_at_again() {
    let known = after(&[(0, up()), (10, down()), (1000, up())], Some("99.9")).unwrap();
    assert_eq!(changes_at(&known, "99.9", at(1000)), Some(at(1000 + 3600)));
    let young = after(&[(0, up())], Some("99.9")).unwrap();
    assert_eq!(changes_at(&young, "99.9", at(10)), Some(at(86_400)));
}

//! The exposition text of the fleet, exactly, with hostile names in it.

use super::super::metrics::{FleetCollector, PathInfo};
use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::{ExemptionState, GrantedExemption, RolloutPhase, RolloutStatus};
use crate::observability::Metrics;
use crate::status::objective::PathReliability;

fn text(metrics: &Metrics) -> String {
    let text = metrics.encode().unwrap();
    let ours: Vec<&str> = text.lines().filter(|line| !line.contains("build_info")).collect();
    ours.join("\n")
}

fn show(fleet: &Fleet, metrics: &Metrics) {
    let health = Health::default();
    let contacts = vec![Contact::new(Resource::Namespaces, &health)];
    contacts[0].synced();
    let exemption = GrantedExemption { name: "batch".into(), state: ExemptionState::Unused, services: 0 };
    let rollout = RolloutStatus {
        phase: RolloutPhase::Soaking,
        moved: 3,
        exercised: 2,
        pending: 5,
        wave_started_at: Some(Time(Timestamp::from_second(1_800_000_000).unwrap())),
        ..RolloutStatus::default()
    };
    let path = PathInfo {
        name: "web".into(),
        default_for: vec![DEPLOYMENT],
        exemptions: vec![exemption],
        rollout: Some(rollout),
        reliability: PathReliability { objectives: [2, 1, 0], ..PathReliability::default() },
    };
    let paths = move || Some(vec![path.clone()]);
    metrics.register(FleetCollector::new(fleet.clone(), contacts, paths)).unwrap();
}

#[tokio::test]
async fn the_fleet_reads_exactly_so() {
    let (fleet, metrics) = fleet();
    show(&fleet, &metrics);
    let service = ("shop".to_owned(), "checkout".to_owned());
    let _ = fleet.claim(&service, &[key("shop", "a"), key("shop", "b")]);
    for (name, team) in [("a", None), ("b", None), ("c", Some("search"))] {
        fleet.learn(&key("shop", name), &object("shop", name, 1, team));
    }
    let found = ["a", "b"].map(|name| (key("shop", name), evaluation("checkout", Some("payments"), State::Adopted)));
    fleet.evaluated(&service, service_bucket("payments", State::Adopted), found.into());
    insta::assert_snapshot!(text(&metrics));
}

#[tokio::test]
async fn what_has_vanished_is_gone_from_the_next_scrape() {
    let (fleet, metrics) = fleet();
    show(&fleet, &metrics);
    let empty = text(&metrics);
    fleet.learn(&key("shop", "a"), &object("shop", "a", 1, Some("search")));
    assert!(text(&metrics).contains(r#"goldenpath_unclaimed_workloads{kind="Deployment",team="search"} 1"#));
    fleet.table().remove(key("shop", "a"), 2);
    assert_eq!(text(&metrics), empty);
}

#[tokio::test]
async fn hostile_names_break_no_line_and_many_teams_make_no_more_series() {
    let (fleet, metrics) = fleet();
    show(&fleet, &metrics);
    for number in 0..1000 {
        let (name, team) = (format!("w{number}"), format!("team\n\"}}\\{number}"));
        fleet.learn(&key("shop", &name), &object("shop", &name, 1, Some(&team)));
    }
    let text = text(&metrics);
    let of_teams: Vec<&str> = text.lines().filter(|line| line.starts_with("goldenpath_unclaimed_workloads{")).collect();
    assert_eq!(of_teams.len(), 101);
    assert!(of_teams.contains(&r#"goldenpath_unclaimed_workloads{kind="Deployment",team="other"} 900"#));
    assert!(of_teams.iter().any(|line| line.contains(r#"team="team\n\"}\\0""#)), "{:?}", of_teams[0]);
    assert!(text.lines().all(|line| line.starts_with("goldenpath_") || line.starts_with('#')));
}

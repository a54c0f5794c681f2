//! The exposition text of the fleet, exactly, with hostile names in it.

use super::super::metrics::{FleetCollector, PathInfo};
use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::{ExemptionState, GrantedExemption, RolloutPhase, RolloutStatus};
use crate::observability::Metrics;
use crate::status::experience::PathExperience;
use crate::status::objective::PathReliability;
use crate::status::spread::{FIRST, Spread};

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
    let mut first = Spread::default();
    first.add(FIRST, 123);
    let path = PathInfo {
        name: "web".into(),
        default_for: vec![DEPLOYMENT],
        exemptions: vec![exemption],
        rollout: Some(rollout),
        reliability: PathReliability { objectives: [2, 1, 0], ..PathReliability::default() },
        objective: Some(0.999),
        experience: PathExperience { scores: [0, 0, 0, 1, 3], first_deploys: [(Origin::Greenfield, first)].into() },
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

/// Services of so many teams on so many paths, each with a workload, and two defaults.
fn crowd(fleet: &Fleet, services: u32, teams: u32, paths: u32) {
    for number in 0..services {
        let (name, team) = (format!("w{number}"), hostile("team", number % teams));
        let service = ("shop".to_owned(), name.clone());
        let _ = fleet.claim(&service, &[key("shop", &name)]);
        fleet.learn(&key("shop", &name), &object("shop", &name, 1, Some(&team)));
        let path: Arc<str> = hostile("path", number % paths).into();
        let evaluation = Evaluation { path: Some(path.clone()), ..evaluation(&name, Some(&team), State::Adopted) };
        let bucket = ServiceBucket { path: Some(path), ..service_bucket(&team, State::Adopted) };
        fleet.evaluated(&service, bucket, vec![(key("shop", &name), evaluation)]);
    }
}

/// 63 characters that mean something to Prometheus.
fn hostile(name: &str, number: u32) -> String {
    format!("{number:0>5}\n\"}}\\,{{=~{name}{}", "\u{e9}\u{1f600}\"".repeat(30)).chars().take(63).collect()
}

fn all_paths(paths: u32) -> Vec<PathInfo> {
    let one = |number| {
        let mut first = Spread::default();
        first.add(FIRST, 600);
        PathInfo {
            name: hostile("path", number),
            default_for: vec![DEPLOYMENT],
            objective: Some(0.999),
            experience: PathExperience { scores: [1; 5], first_deploys: [(Origin::Voluntary, first)].into() },
            ..PathInfo::default()
        }
    };
    (0..paths).map(one).collect()
}

/// The lines of all that the fleet exports, each of them a line as it has to be.
fn lines_of(services: u32, teams: u32, paths: u32) -> Vec<String> {
    let (fleet, metrics) = fleet();
    crowd(&fleet, services, teams, paths);
    metrics.register(FleetCollector::new(fleet, Vec::new(), move || Some(all_paths(paths)))).unwrap();
    let text = text(&metrics);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit_once(' ').map(|(_, value)| value).unwrap_or_default();
        assert!(
            line.starts_with("goldenpath_") && value.parse::<f64>().is_ok_and(|n| n.is_finite() && n >= 0.0),
            "{line}"
        );
        // every quote inside a value is escaped: what is left are pairs around values
        let quotes = line.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert_eq!(quotes, 2 * line.replace("\\\\", "").replace("\\\"", "").matches("=\"").count(), "{line}");
    }
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[tokio::test]
async fn series_do_not_grow_with_services() {
    let few = lines_of(50, 5, 1).len();
    assert_eq!(lines_of(5_000, 5, 1).len(), few);
    // what the page about metrics promises of one path and five teams
    assert!(few <= 120, "{few}");
}

#[tokio::test]
async fn ten_thousand_hostile_teams_and_paths_make_a_bounded_body() {
    let lines = lines_of(10_000, 10_000, 10_000);
    let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("goldenpath_workload_adoption_ratio{"), 100, "the hundred largest paths");
    assert_eq!(of("goldenpath_eligible_workloads{"), 100 * 101);
    assert!(of("goldenpath_services{") <= 101 * 101 && of("goldenpath_service_origins{") == 101);
    assert_eq!(of("goldenpath_time_to_first_deploy_seconds_bucket{"), 100 * 10);
    assert!(lines.len() < 16_000, "{}", lines.len());
    let bytes: usize = lines.iter().map(String::len).sum();
    assert!(bytes < 8 << 20, "{bytes}");
}

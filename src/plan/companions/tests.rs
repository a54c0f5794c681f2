//! Companions of one workload in a namespace with other objects.

use rstest::rstest;

use super::*;
use crate::api::{GoldenPathSpec, PathDefault};
use crate::plan::exceptions::Exceptions;
use crate::plan::verdict::{Standing, Subjected, verdicts};

fn fields(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn companion(api_version: &str, kind: &str, spec: &Value) -> Companion {
    Companion { api_version: api_version.into(), kind: kind.into(), spec: fields(spec) }
}

fn budget() -> Companion {
    companion("policy/v1", "PodDisruptionBudget", &json!({"maxUnavailable": 1}))
}

fn keda() -> CompanionKind {
    "keda.sh/v1alpha1/ScaledObject=scaledobjects".parse().unwrap()
}

fn allowed() -> Allowed {
    Allowed::new(vec![keda()])
}

fn service() -> PlatformService {
    let mut service = PlatformService::new("checkout", Default::default());
    service.metadata.namespace = Some("shop".into());
    service.metadata.uid = Some("0-1-2".into());
    service
}

fn deployment() -> Value {
    let labels = json!({"app": "web", "tier": "front"});
    json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": labels}}},
    })
}

fn other(reach: &Value, companion_since: Option<&str>) -> Other {
    Other { name: "theirs".into(), reach: reach.clone(), companion_since: companion_since.map(Into::into) }
}

fn decided(
    kind: WorkloadKind,
    companion: &Companion,
    others: &[Other],
    services: &[Other],
    since: Option<&str>,
) -> Companionship {
    let target = WorkloadRef { kind, name: "web".into(), api_version: None };
    let (service, object) = (service(), deployment());
    let beside = Beside { service: &service, entry: "api", target: &target, object: &object };
    let of = allowed();
    decide(beside, "budget", companion, of.find(companion).unwrap(), (others, services), since)
}

fn wanted(companionship: Companionship) -> Value {
    let Companionship::Wanted(wanted) = companionship else { panic!("{companionship:?}") };
    wanted.object
}

#[test]
fn a_budget_is_owned_by_the_service_and_selects_the_pods() {
    let object = wanted(decided(WorkloadKind::Deployment, &budget(), &[], &[], None));
    insta::assert_yaml_snapshot!("budget", object);
}

#[rstest]
#[case::a_network_policy(
    companion("networking.k8s.io/v1", "NetworkPolicy", &json!({"policyTypes": ["Ingress"]})),
    "podSelector",
    json!({"matchLabels": {"app": "web"}})
)]
#[case::a_service(companion("v1", "Service", &json!({"ports": [{"port": 80}]})), "selector", json!({"app": "web"}))]
#[case::an_autoscaler(
    companion("autoscaling/v2", "HorizontalPodAutoscaler", &json!({"maxReplicas": 5})),
    "scaleTargetRef",
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
)]
#[case::what_an_administrator_allowed(
    companion("keda.sh/v1alpha1", "ScaledObject", &json!({"scaleTargetRef": {}, "triggers": []})),
    "scaleTargetRef",
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
)]
fn the_workload_is_filled_in(#[case] companion: Companion, #[case] field: &str, #[case] expected: Value) {
    let object = wanted(decided(WorkloadKind::Deployment, &companion, &[], &[], None));
    assert_eq!(object["spec"][field], expected);
}

#[test]
fn a_monitor_selects_a_service_of_the_pods_by_the_labels_that_stay() {
    let monitor = companion("monitoring.coreos.com/v1", "ServiceMonitor", &json!({"endpoints": [{"port": "http"}]}));
    let of = |services: &[Other]| decided(WorkloadKind::Deployment, &monitor, &[], services, None);
    let labelled = json!({"selector": {"app": "web"}, "labels": {"app": "web", "helm.sh/chart": "web-1.2.3"}});
    let bare = json!({"selector": {"app": "web"}});
    let elsewhere = json!({"selector": {"app": "api"}, "labels": {"app": "api"}});
    let found = wanted(of(&[other(&elsewhere, None), other(&bare, None), other(&labelled, None)]));
    assert_eq!(found["spec"]["selector"], json!({"matchLabels": {"app": "web"}}));
    assert!(matches!(of(&[other(&bare, None)]), Companionship::Impossible(_)));

    let theirs = [other(&json!({"selector": {"matchLabels": {"app": "web"}}}), None)];
    let covered = decided(WorkloadKind::Deployment, &monitor, &theirs, &[other(&labelled, None)], None);
    assert_eq!(covered, Companionship::Covered("theirs".into()));
}

#[rstest]
#[case::the_same_pods(json!({"selector": {"matchLabels": {"app": "web"}}}), true)]
#[case::more_pods(json!({"selector": {}}), true)]
#[case::other_pods(json!({"selector": {"matchLabels": {"app": "api"}}}), false)]
#[case::none(json!({}), false)]
fn the_teams_own_budget_covers(#[case] reach: Value, #[case] covers: bool) {
    let found = decided(WorkloadKind::StatefulSet, &budget(), &[other(&reach, None)], &[], None);
    assert_eq!(found == Companionship::Covered("theirs".into()), covers, "{found:?}");
}

#[rstest]
#[case::the_same_target(json!({"scaleTargetRef": {"kind": "Deployment", "name": "web"}}), true)]
#[case::no_kind_is_a_deployment(json!({"scaleTargetRef": {"name": "web"}}), true)]
#[case::another_kind(json!({"scaleTargetRef": {"kind": "StatefulSet", "name": "web"}}), false)]
#[case::another_name(json!({"scaleTargetRef": {"kind": "Deployment", "name": "api"}}), false)]
fn the_teams_own_autoscaler_covers(#[case] reach: Value, #[case] covers: bool) {
    let autoscaler = companion("autoscaling/v2", "HorizontalPodAutoscaler", &json!({"maxReplicas": 5}));
    let found = decided(WorkloadKind::Deployment, &autoscaler, &[other(&reach, None)], &[], None);
    assert_eq!(found == Companionship::Covered("theirs".into()), covers, "{found:?}");
}

/// A canary and its stable twin share labels: each companion covers the other's pods, and both must not give way.
#[rstest]
#[case::before_ours_is_made(Some("2026-01-01 a"), None, true)]
#[case::older_than_ours(Some("2026-01-01 a"), Some("2026-01-02 b"), true)]
#[case::younger_than_ours(Some("2026-01-03 c"), Some("2026-01-02 b"), false)]
#[case::a_teams_own_however_young(None, Some("2026-01-02 b"), true)]
fn of_two_companions_the_older_stays(#[case] theirs: Option<&str>, #[case] ours: Option<&str>, #[case] covers: bool) {
    let reach = json!({"selector": {"matchLabels": {"app": "web"}}});
    let found = decided(WorkloadKind::Deployment, &budget(), &[other(&reach, theirs)], &[], ours);
    assert_eq!(matches!(found, Companionship::Covered(_)), covers, "{found:?}");
}

#[rstest]
#[case::pods_of_jobs(WorkloadKind::CronJob, budget())]
#[case::a_budget_that_would_forbid_every_eviction(WorkloadKind::DaemonSet, budget())]
#[case::a_pod_a_node(
    WorkloadKind::DaemonSet,
    companion("autoscaling/v2", "HorizontalPodAutoscaler", &json!({"maxReplicas": 5}))
)]
fn what_means_nothing_beside_a_kind_is_left_out(#[case] kind: WorkloadKind, #[case] companion: Companion) {
    assert!(matches!(decided(kind, &companion, &[], &[], None), Companionship::Moot(_)));
}

#[rstest]
#[case::a_deployment(WorkloadKind::Deployment, "web", "web-budget")]
#[case::another_kind_of_that_name(WorkloadKind::StatefulSet, "web", "web-statefulset-budget")]
fn names_say_whose_they_are(#[case] kind: WorkloadKind, #[case] workload: &str, #[case] expected: &str) {
    assert_eq!(name(&WorkloadRef { kind, name: workload.into(), api_version: None }, "budget"), expected);
}

#[test]
fn long_names_are_cut_and_stay_apart() {
    let of = |workload: &str| {
        name(&WorkloadRef { kind: WorkloadKind::Deployment, name: workload.into(), api_version: None }, "budget")
    };
    let (one, other) = (of(&format!("{}a", "x".repeat(80))), of(&format!("{}b", "x".repeat(80))));
    assert!(one.len() <= 63 && other.len() <= 63 && one != other, "{one} {other}");
}

fn path(resources: Vec<Companion>) -> GoldenPath {
    let default = PathDefault { name: "budget".into(), resources, weight: 1, ..PathDefault::default() };
    GoldenPath::new("web", GoldenPathSpec { defaults: vec![default], ..GoldenPathSpec::default() })
}

#[test]
fn a_kind_that_nobody_allowed_is_named_with_those_that_are() {
    let error = check(&path(vec![companion("v1", "Secret", &json!({}))]), &allowed()).unwrap_err().to_string();
    for part in [
        "defaults[budget].resources",
        "Secret of v1 is not allowed",
        "PodDisruptionBudget",
        "ScaledObject",
        "companionKinds",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let old = companion("policy/v1beta1", "PodDisruptionBudget", &json!({}));
    assert!(check(&path(vec![old]), &allowed()).is_err(), "another version is another kind");
    assert_eq!(check(&path(vec![budget()]), &allowed()), Ok(()));
}

#[test]
fn what_is_filled_in_must_be_left_open() {
    let own = companion("policy/v1", "PodDisruptionBudget", &json!({"selector": {"matchLabels": {"app": "web"}}}));
    let error = check(&path(vec![own]), &allowed()).unwrap_err().to_string();
    assert!(error.contains("resources[PodDisruptionBudget].spec.selector"), "{error}");
    let open = companion("networking.k8s.io/v1", "NetworkPolicy", &json!({"podSelector": {}}));
    assert_eq!(check(&path(vec![open]), &allowed()), Ok(()));
}

#[rstest]
#[case::a_kind("keda.sh/v1alpha1/ScaledObject=scaledobjects", true)]
#[case::of_the_core("v1/ConfigMap=configmaps", true)]
#[case::no_plural("keda.sh/v1alpha1/ScaledObject", false)]
#[case::no_version("ScaledObject=scaledobjects", false)]
#[case::nothing("", false)]
fn kinds_are_read(#[case] text: &str, #[case] good: bool) {
    assert_eq!(text.parse::<CompanionKind>().is_ok(), good);
}

fn combined(default: PathDefault, beside: VerdictState) -> VerdictState {
    let path = GoldenPath::new("web", GoldenPathSpec { defaults: vec![default], ..GoldenPathSpec::default() });
    let revision = Revision::draft(&path).unwrap();
    let object = deployment();
    let subject = Subjected { kind: WorkloadKind::Deployment, object: &object, namespace: &Value::Null };
    let verdicts = verdicts(subject, &revision, &Standing::Adopted, &Exceptions::default());
    let companion =
        CompanionVerdict { default: "budget".into(), state: beside, message: Some("x".into()), again: false };
    combine(verdicts, &[companion], &revision).remove(0).state
}

#[test]
fn a_default_is_as_good_as_the_worse_of_its_parts() {
    use VerdictState::{Applied, Missing, PendingRollout, SatisfiedByTeam};
    let alone = || path(vec![budget()]).spec.defaults.remove(0);
    assert_eq!(combined(alone(), Applied), Applied);
    assert_eq!(combined(alone(), Missing), Missing);
    let checked = |check: &str| PathDefault { check: Some(check.into()), ..alone() };
    assert_eq!(combined(checked("false"), Applied), Missing);
    assert_eq!(combined(checked("true"), Applied), Applied);
    assert_eq!(combined(checked("true"), SatisfiedByTeam), SatisfiedByTeam);
    let fill = json!({"spec": {"hostname": "web"}}).as_object().cloned();
    assert_eq!(combined(PathDefault { pod_template: fill, ..alone() }, Applied), PendingRollout);
}

#[test]
fn revisions_without_companions_keep_their_names() {
    let name = |resources: Vec<Companion>| Revision::draft(&path(resources)).unwrap().name;
    assert_eq!(name(vec![]), "web-096802def3");
    assert_ne!(name(vec![budget()]), name(vec![]));
}

#[test]
fn a_probe_is_bound_to_nothing_that_exists() {
    let of = allowed();
    let (key, object) = probe(&budget(), of.find(&budget()).unwrap(), "goldenpath-system", "probe");
    assert_eq!((key.namespace.as_str(), key.plural.as_str()), ("goldenpath-system", "poddisruptionbudgets"));
    assert_eq!(object["spec"]["selector"]["matchLabels"], json!({labels::DEFAULT: "probe"}));
}

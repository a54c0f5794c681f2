//! A team of each kind of workload takes the path that its kind has, without naming it.

use std::collections::BTreeMap;

use goldenpath::api::{DefaultOwner, PathDefault, PlatformService, VerdictState, WorkloadKind};
use goldenpath_e2e::ControlPlane;
use goldenpath_e2e::evidence::shipped_paths;
use goldenpath_e2e::programs::repository;
use goldenpath_e2e::story::{NAME, Style, Team};
use serde_json::{Value, json};

/// Adopts a bare workload of each kind, deploys it once more, and looks at every verdict.
pub async fn every_kind_takes_its_path_and_is_filled(
    control_plane: &ControlPlane,
    revisions: &BTreeMap<WorkloadKind, String>,
) {
    let stories = WorkloadKind::ALL.map(|kind| takes_its_path(control_plane, kind, &revisions[&kind]));
    let mut teams = futures::future::join_all(stories).await;
    a_better_sentence_arrives_and_moves_nobody(control_plane, &teams.remove(0), &revisions[&WorkloadKind::Deployment])
        .await;
}

async fn takes_its_path<'a>(control_plane: &'a ControlPlane, kind: WorkloadKind, revision: &str) -> Team<'a> {
    let path = shipped_paths().unwrap().into_iter().find(|path| path.spec.default_for.contains(&kind)).unwrap();
    let mut team = Team::new(control_plane, Style::Apply, kind).await.unwrap();
    team.rolls_out(&manifest(kind, "example.com/web:1")).await.unwrap();
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": NAME, "namespace": team.namespace},
        "spec": {"workloads": [{"name": "main", "ref": {"kind": kind, "name": NAME}}]},
    });
    control_plane.apply(&service.to_string()).await.unwrap();
    team.is_labelled("goldenpath.dev/revision", Some(revision)).await.unwrap();
    let object = team.rolls_out(&manifest(kind, "example.com/web:2")).await.unwrap();
    assert_eq!(team.pod_spec(&object)["securityContext"], json!({"seccompProfile": {"type": "RuntimeDefault"}}));

    spreads_over_its_own_pods(&team, kind).await;

    for default in &path.spec.defaults {
        let found = team
            .service_is(&format!("judged on {}", default.name), |service| {
                let found = service.status.as_ref()?.defaults.iter().find(|d| d.name == default.name)?;
                let comes = default.pod_template.is_some() || is_made(default, kind);
                let settled = !comes || found.state == VerdictState::Applied;
                settled.then(|| found.clone())
            })
            .await
            .unwrap();
        println!(
            "{kind} | {} | {:?} | {:?} | {}",
            found.name,
            found.state,
            found.owner,
            found.message.as_deref().unwrap_or_default()
        );
        assert_eq!(found.owner, default.owner, "{found:?}");
        if default.pod_template.is_none() && !is_made(default, kind) {
            let known = [VerdictState::Missing, VerdictState::SatisfiedByTeam];
            assert!(known.contains(&found.state), "{found:?}");
        }
        if found.state == VerdictState::Missing {
            assert_eq!(found.owner, Some(DefaultOwner::Team), "{found:?}");
            let message = found.message.unwrap_or_default();
            let hint = default.hint.as_deref().unwrap().trim_end_matches('.');
            assert!(message.starts_with(hint) && message.contains("; why: "), "{message}");
            assert!(message.ends_with("; ask platform"), "{message}");
        }
    }
    let adopted = team.service_is("counted by category", |service| condition(service, "Security")).await.unwrap();
    println!("{kind} | Adopted | {adopted}");
    team
}

/// Whether something is made for a default beside a workload of a kind: no budget beside a `DaemonSet`.
fn is_made(default: &PathDefault, kind: WorkloadKind) -> bool {
    !default.resources.is_empty() && matches!(kind, WorkloadKind::Deployment | WorkloadKind::StatefulSet)
}

/// The filled constraints select every pod of the namespace; the API server narrows them to those of the pod's own
/// revision when it makes the pod, by the keys.
async fn spreads_over_its_own_pods(team: &Team<'_>, kind: WorkloadKind) {
    let key = match kind {
        WorkloadKind::Deployment => "pod-template-hash",
        WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => "controller-revision-hash",
        WorkloadKind::CronJob => return,
    };
    let list = ["get", "pods", "-n", &team.namespace, "-o", "json"];
    let pods: Value = serde_json::from_str(&team.control_plane.kubectl(list).await.unwrap()).unwrap();
    let filled = |pod: &&Value| pod["spec"]["topologySpreadConstraints"].is_array();
    let pods: Vec<&Value> = pods["items"].as_array().unwrap().iter().filter(filled).collect();
    assert!(!pods.is_empty(), "no pod of {kind} has the constraints");
    for pod in pods {
        let wanted = json!([{"key": key, "operator": "In", "values": [pod["metadata"]["labels"][key]]}]);
        for constraint in pod["spec"]["topologySpreadConstraints"].as_array().unwrap() {
            assert_eq!(constraint["labelSelector"]["matchExpressions"], wanted, "{constraint}");
        }
    }
}

/// The message of the condition Adopted, if it has this word.
fn condition(service: &PlatformService, word: &str) -> Option<String> {
    let conditions = &service.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == "Adopted" && c.message.contains(word)).map(|c| c.message.clone())
}

/// A hint is no part of a revision's name, and arrives all the same.
async fn a_better_sentence_arrives_and_moves_nobody(control_plane: &ControlPlane, team: &Team<'_>, revision: &str) {
    let file = std::fs::read_to_string(repository().join("paths/web-service.yaml")).unwrap();
    let better = file.replace("hint: Set readinessProbe on", "hint: Please set readinessProbe on");
    assert_ne!(file, better);
    assert_eq!(control_plane.golden_path(&better).await.unwrap(), revision, "no new revision");
    team.service_is("told the better sentence", |service| {
        let defaults = &service.status.as_ref()?.defaults;
        let message = defaults.iter().find(|d| d.name == "readiness-probe")?.message.as_ref()?;
        message.starts_with("Please set").then_some(())
    })
    .await
    .unwrap();
    team.is_labelled("goldenpath.dev/revision", Some(revision)).await.unwrap();
}

/// What people first write.
fn manifest(kind: WorkloadKind, image: &str) -> Value {
    let labels = json!({"app": NAME});
    let mut pod =
        json!({"containers": [{"name": "app", "image": image}, {"name": "sidecar", "image": "example.com/proxy:1"}]});
    let template = |pod: Value| json!({"metadata": {"labels": labels}, "spec": pod});
    let spec = match kind {
        WorkloadKind::CronJob => {
            pod["restartPolicy"] = json!("Never");
            json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template(pod)}}})
        }
        _ => json!({"selector": {"matchLabels": labels}, "template": template(pod)}),
    };
    json!({"apiVersion": kind.api_version(), "kind": kind, "metadata": {"name": NAME}, "spec": spec})
}

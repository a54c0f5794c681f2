//! Paths whose feedback cannot be had: refused by the definition, or `Ready=False` while the road itself goes on.

use anyhow::ensure;
use goldenpath::api::WorkloadKind::{self, DaemonSet, Deployment};
use goldenpath_e2e::evidence::shipped_paths;
use goldenpath_e2e::wait;
use rstest::rstest;

use super::{DEFAULTS, TIMEOUT, path, turn, workload};

#[rstest]
#[case::deny_of_a_path_that_is_tried(
    "Deny",
    DEFAULTS,
    ", Deployment",
    "Preview",
    "admission.level: Deny needs a path that is ready for everybody, and this one is of stage Preview; set level: Warn, or stage: Stable"
)]
#[case::no_kind("Warn", DEFAULTS, "", "Stable", "without a kind in defaultFor there is no workload to look at")]
#[case::no_check(
    "Warn",
    "[{name: links, podTemplate: {spec: {enableServiceLinks: false}}}]",
    ", Deployment",
    "Stable",
    "no default has a check, so there is nothing to say"
)]
#[tokio::test]
async fn a_path_that_cannot_have_feedback_is_refused(
    #[case] level: &str,
    #[case] defaults: &str,
    #[case] kind: &str,
    #[case] stage: &str,
    #[case] words: &str,
) {
    let (road, _) = turn().await;
    let kinds: &[WorkloadKind] = if kind.is_empty() { &[] } else { &[Deployment] };
    let yaml = path(level, kinds, defaults, "").replacen("spec:", &format!("spec:\n  stage: {stage}"), 1);
    let refusal = road.control_plane.apply(&yaml).await.unwrap_err().to_string();
    assert!(refusal.contains(words), "{refusal}");
}

#[tokio::test]
async fn a_retiring_path_goes_on_refusing() {
    let (road, namespace) = turn().await;
    road.path("Deny", &[Deployment], &namespace).await;
    road.control_plane
        .kubectl(["patch", "goldenpath", "web", "--type=merge", "-p", r#"{"spec":{"stage":"Retiring"}}"#])
        .await
        .unwrap();
    road.ready("Ready").await;
    let said = road.writes(&["create", "-n", &namespace], &workload(Deployment, "shop")).await;
    assert!(said.refusal().is_some(), "{said:?}");
    let preview = ["patch", "goldenpath", "web", "--type=merge", "-p", r#"{"spec":{"stage":"Preview"}}"#];
    let refusal = road.control_plane.kubectl(preview).await.unwrap_err().to_string();
    assert!(refusal.contains("stage Preview; set level: Warn"), "{refusal}");
}

/// Each alone costs an API server and us too much.
const COSTLY: &str = r"
  - name: costly
    check: >-
      variables.template.spec.containers.all(a, variables.template.spec.containers.all(b,
      !has(a.env) || !has(b.env) || a.env.all(c, b.env.all(d, c.name != d.name + 'x'))))
";

/// Each alone is within all limits, and together they are not within those of an API server.
fn many() -> String {
    let loops = "variables.template.spec.containers.all(a, variables.template.spec.containers.all(b, \
                 !has(a.env) || a.env.all(e, e.name + e.value != b.name)))";
    (0..60).map(|n| format!("\n  - {{name: check-{n}, check: \"{loops}\"}}")).chain(["\n".to_owned()]).collect()
}

#[rstest]
#[case::a_field_that_only_some_kinds_have(
    "\n  - {name: replicas, check: 'object.spec.replicas != 1'}\n".to_owned(), "InvalidCheck",
    &["defaults[replicas].check", "object.spec has no field `replicas`", "has(object.spec.replicas)", "a DaemonSet that sets nothing"])]
#[case::loops_over_all_containers_of_a_large_workload(
    COSTLY.to_owned(), "InvalidCheck", &["defaults[costly].check", "more than 1000000 steps", "a Deployment with 24 containers"])]
#[case::more_than_an_api_server_gives_to_all_of_them(
    many(), "InvalidCheck", &["all checks together cost too much on a Deployment with 24 containers", "cost budget"])]
#[tokio::test]
async fn a_check_that_would_fail_silently_is_found_before_it_is_in_force(
    #[case] defaults: String,
    #[case] reason: &str,
    #[case] parts: &[&str],
) {
    let (road, _) = turn().await;
    road.control_plane.apply(&path("Warn", &[Deployment, DaemonSet], &defaults, "")).await.unwrap();
    let message = road.ready(reason).await;
    println!("{message}");
    assert!(message.starts_with("revision web-") && message.contains("is proved and in force"), "{message}");
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    assert_eq!(road.feedback().await, <[&str; 0]>::default());
}

#[tokio::test]
async fn a_selector_that_the_api_server_refuses_is_answered_with_its_words() {
    let (road, _) = turn().await;
    let yaml = path("Warn", &[Deployment], DEFAULTS, "").replace("{feedback: 'on'}", "{'not a label': x}");
    road.control_plane.apply(&yaml).await.unwrap();
    let message = road.ready("InvalidAdmission").await;
    println!("{message}");
    assert!(message.contains("admission: the API server refuses it") && message.contains("not a label"), "{message}");
    // the path is looked at again when its status was written, and that look makes copies for a proof once more
    wait::until("nothing to be half there", TIMEOUT, async || {
        let left = road.feedback().await;
        ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })
    .await
    .unwrap();
}

/// Their checks are accepted, cost little enough, and mean the same to both engines.
#[tokio::test]
async fn the_shipped_paths_can_speak_up() {
    let (road, _) = turn().await;
    for mut shipped in shipped_paths().unwrap() {
        shipped.spec.admission = serde_json::from_value(serde_json::json!({"level": "Deny"})).unwrap();
        // nobody is in these namespaces, and the stories of others must not meet it
        shipped.spec.admission.as_mut().unwrap().namespace_selector =
            serde_json::from_value(serde_json::json!({"matchLabels": {"feedback": "of-the-shipped"}})).unwrap();
        let yaml = serde_json::to_string(&shipped).unwrap();
        road.control_plane.golden_path(&yaml).await.unwrap();
    }
    assert_eq!(road.feedback().await.len(), 3 * 4);
}

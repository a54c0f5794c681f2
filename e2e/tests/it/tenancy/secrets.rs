//! A secret that a team has written into a workload is in nothing that the operator says.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath::api::{WorkloadKind, labels};
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, wait};
use serde_json::{Value, json};

use super::manifest;

const SECRET: &str = "c4n4ry-0f-th3-t34m";

/// It stands where people put secrets that belong into a Secret: in a variable that the path has an opinion about, in
/// another one, in an argument, and in annotations of the workload and of its pods.
#[tokio::test]
async fn a_secret_in_a_workload_is_in_nothing_that_is_said_of_it() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let name = control_plane.namespace("road").await?;
    let environment = json!([{"name": "*", "env": [{"name": "TOKEN", "value": "road"}]}]);
    let path = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "GoldenPath", "metadata": {"name": name},
        "spec": {"version": "1", "defaults": [
            {"name": "token", "override": "Forbidden", "podTemplate": {"spec": {"containers": environment}}},
            {"name": "no-secrets", "check": "!variables.template.spec.containers.exists(c, has(c.args))"},
        ]},
    });
    control_plane.golden_path(&path.to_string()).await?;
    let mut workload = manifest();
    workload["metadata"]["annotations"] = json!({"example.com/secret": SECRET});
    workload["spec"]["template"]["metadata"]["annotations"] = json!({"example.com/secret": SECRET});
    let container = &mut workload["spec"]["template"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "TOKEN", "value": SECRET}, {"name": "OTHER", "value": SECRET}]);
    container["args"] = json!([SECRET]);
    team.rolls_out(&workload).await?;
    team.takes(&name, &json!({})).await?;
    control_plane
        .expect(&team.namespace, &format!("psvc/{NAME}"), r#"{.status.defaults[?(@.name=="token")].name}"#, "token")
        .await?;

    is_deprecated(control_plane, &team.namespace, &name, &workload).await?;
    let stored = "psvc,gp,depr,events,mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,\
                  validatingadmissionpolicybindings";
    let said = control_plane.kubectl(["get", stored, "-A", "-o", "json"]).await?;
    for kind in
        ["PlatformService", "GoldenPath", "Deprecation", "MutatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    {
        ensure!(said.contains(&format!("\"kind\": \"{kind}\"")), "no {kind} is there");
    }
    ensure!(said.contains(&name) && !said.contains(SECRET), "{}", around(&said));
    // those of paths: a StatefulSet has others, which are Kubernetes' own copies of it
    let kept = control_plane.kubectl(["get", "controllerrevisions", "-A", "-l", labels::PATH, "-o", "json"]).await?;
    ensure!(kept.contains(&name) && !kept.contains(SECRET), "{}", around(&kept));
    // whether it succeeds depends on what else there is
    let release = control_plane.goldenpath(["release", "--dry-run"]).await?;
    let said = format!("{}{}", release.stdout, release.stderr);
    ensure!(said.contains(&team.namespace) && said.contains(&format!("path={name}")), "{said}");
    ensure!(!said.contains(SECRET), "{}", around(&said));
    let mut logs = 0;
    for entry in std::fs::read_dir(control_plane.folder())? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "log") && file.to_string_lossy().contains("operator-")
        {
            let log = std::fs::read_to_string(&file)?;
            logs += usize::from(log.contains("goldenpath is starting"));
            ensure!(!log.contains(SECRET), "{}", around(&log));
        }
    }
    ensure!(logs > 0, "there is no log of an operator");
    let metrics = ControlPlane::operator_of_all()?.metrics().await?;
    ensure!(metrics.contains("goldenpath_workloads") && !metrics.contains(SECRET), "{}", around(&metrics));
    control_plane.kubectl(["delete", "depr", &name]).await.map(drop)
}

/// The workload is an old one, by its secret itself, with a fix that is computed of it: it is counted, warned of, and named in the
/// status of its service, and its team is told without it.
async fn is_deprecated(control_plane: &ControlPlane, namespace: &str, name: &str, workload: &Value) -> Result<()> {
    let secret = "'OTHER' in object.spec.template.spec.containers[0].env.map(e, e.name) && \
                  object.metadata.?annotations['example.com/secret'].hasValue()";
    let fix = json!({"patch": {"metadata": {"annotations": {"example.com/secret": null}}}});
    let deprecation = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": name},
        "spec": {
            "title": "Secrets in variables",
            "matches": [{
                "name": "secret", "resourceRules": [{"apiGroups": ["apps"], "resources": ["deployments"]}], "expression": secret,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            }],
            "replacement": {"fix": fix},
            "timeline": {"warnAt": "2026-01-01T00:00:00Z"},
            "gates": {"replacementStage": "None", "requireObjectiveMet": false, "minReplacementAdopters": 0, "minNotice": "1s"},
        },
    });
    control_plane.apply(&deprecation.to_string()).await?;
    let state = r#"{.status.consumers.remaining} {.status.conditions[?(@.type=="Enforced")].reason}"#;
    control_plane.expect("default", &format!("depr/{name}"), state, "1 Enforced").await?;
    control_plane.expect(namespace, &format!("psvc/{NAME}"), "{.status.deprecationsTotal}", "1").await?;
    let mut next = workload.clone();
    next["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
    let words = ["apply", "--server-side", "--field-manager=team", "--dry-run=server", "-n", namespace, "-f", "-"];
    let said = wait::until("the team to be warned", Duration::from_mins(1), async || {
        let said = control_plane.kubectl_output(words, &next.to_string()).await?;
        ensure!(said.stderr.contains("is deprecated: Secrets in variables"), "{said:?}");
        Ok(Some(said.stderr))
    });
    let said = said.await?;
    ensure!(!said.contains(SECRET), "{}", around(&said));
    Ok(())
}

/// What stands around the secret.
fn around(text: &str) -> &str {
    let at = text.find(SECRET).unwrap_or_default();
    text.get(at.saturating_sub(300)..(at + 100).min(text.len())).unwrap_or(text)
}

//! What an application team can do with the rights of its namespace: ask, and nothing beyond it.

use std::path::Path;

use anyhow::{Result, ensure};
use goldenpath::api::{VerdictState, WorkloadKind, labels};
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, commands::CommandOutput};
use serde_json::{Value, json};

mod names;
mod secrets;

/// What a tenant may do in its own namespace: what `kubectl create role` for an app team would say.
fn rights(namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: tenant, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: tenant, namespace: {namespace}}}
rules:
- {{apiGroups: [goldenpath.dev], resources: [platformservices], verbs: ['*']}}
- {{apiGroups: [apps], resources: [deployments], verbs: ['*']}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: tenant, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}}
subjects: [{{kind: ServiceAccount, name: tenant, namespace: {namespace}}}]
"
    )
}

/// `kubectl` with the rights of the tenant.
async fn as_tenant(control_plane: &ControlPlane, tenant: &Path, words: &[&str]) -> Result<CommandOutput> {
    let tenant = tenant.to_string_lossy();
    let args = ["--kubeconfig", &*tenant].into_iter().chain(words.iter().copied());
    control_plane.kubectl_output(args, "").await
}

fn path(name: &str) -> String {
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "GoldenPath",
        "metadata": {"name": name},
        "spec": {"version": "1", "maxMode": "Enforce", "defaults": [{
            "name": "no-token", "override": "Forbidden",
            "podTemplate": {"spec": {"automountServiceAccountToken": false}},
        }]},
    })
    .to_string()
}

fn manifest() -> Value {
    let labels = json!({"app": NAME});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    })
}

#[tokio::test]
async fn tenant_can_ask_for_an_exemption_and_neither_grant_nor_take_one() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let mut team = Team::new(control_plane, Style::ServerSide, WorkloadKind::Deployment).await?;
    let (name, namespace) = (control_plane.namespace("road").await?, team.namespace.clone());
    control_plane.golden_path(&path(&name)).await?;
    control_plane.apply(&rights(&namespace)).await?;
    let tenant = control_plane.as_account(&namespace, "tenant").await?;
    team.rolls_out(&manifest()).await?;
    let request = json!({"exemptionRequests": [{
        "name": "token", "for": {"kind": "GoldenPath", "name": name, "defaults": ["no-token"]}, "reason": "please",
    }]});
    team.takes(&name, &request).await?;

    let grant = json!({"spec": {"exemptions": [{
        "name": "mine", "namespace": namespace, "defaults": ["no-token"], "reason": "mine", "approvedBy": "me",
        "expiresAt": "2036-01-01T00:00:00Z",
    }]}});
    let status = json!({"status": {"exemptions": [{"name": "token", "state": "Granted"}]}});
    for words in [
        ["patch", "goldenpath", &name, "--type=merge", "-p", &grant.to_string()],
        ["patch", "goldenpath", &name, "--type=merge", "-p", r#"{"spec":{"maxMode":"Observe"}}"#],
    ] {
        let refused = as_tenant(control_plane, &tenant, &words).await?;
        ensure!(refused.stderr.contains("Forbidden") || refused.stderr.contains("forbidden"), "{refused:?}");
    }
    let status = status.to_string();
    let words = ["patch", "psvc", NAME, "-n", &namespace, "--subresource=status", "--type=merge", "-p", &status];
    let refused = as_tenant(control_plane, &tenant, &words).await?;
    ensure!(refused.stderr.contains("forbidden"), "{refused:?}");

    // a label that nobody granted goes again, and the default comes with the next rollout
    let skip = format!("{}=", labels::skip("no-token"));
    as_tenant(control_plane, &tenant, &["label", "deployment", NAME, "-n", &namespace, &skip]).await?.success()?;
    team.is_labelled(&labels::skip("no-token"), None).await?;
    let mut next = manifest();
    next["spec"]["template"]["spec"]["containers"][0]["image"] = json!("a:2");
    let object = team.rolls_out(&next).await?;
    ensure!(team.pod_spec(&object)["automountServiceAccountToken"] == false, "{object}");
    team.verdict("no-token", VerdictState::Applied).await?;
    Ok(())
}

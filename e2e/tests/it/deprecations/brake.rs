//! One entry of a Deprecation that does not come into force, beside another one: stopped by a person, or not readable.

use anyhow::{Result, ensure};
use goldenpath_e2e::wait;
use serde_json::{Value, json};

use super::{Cluster, PATIENCE, in_seconds, ingress, legacy_ingress};

const NAME: &str = "two";
/// Classes that the two entries match.
const STOPPED: Option<&str> = Some("stopped");
const OTHER: Option<&str> = Some("other");

#[tokio::test]
async fn an_entry_that_somebody_stopped_keeps_nothing_from_the_others() {
    story().await.unwrap();
}

async fn story() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    super::clock::dates_count_by_the_api_server(&mut cluster).await?;
    cluster.ingresses_can_be_read().await?;
    let shop = cluster.control_plane.namespace("shop").await?;
    let bank = cluster.control_plane.namespace("bank").await?;
    let timeline = json!({"warnAt": in_seconds(-20), "blockCreateAt": in_seconds(-10)});
    let matches = json!([entry("stopped", "object.spec.?ingressClassName.orValue('') == 'stopped'"), other()]);
    cluster.apply(&legacy_ingress(NAME, &json!({"matches": matches, "timeline": timeline}))).await?;
    refuses(&cluster, &shop, STOPPED, true).await?;
    refuses(&cluster, &shop, OTHER, true).await?;

    let stopped = "validatingadmissionpolicybindings -l goldenpath.dev/deprecation=two,goldenpath.dev/match=stopped";
    cluster.kubectl(&format!("delete {stopped}")).await?;
    refuses(&cluster, &shop, STOPPED, false).await?;
    let exemption = |name: &str, namespace: &str| {
        json!({"name": name, "namespace": namespace, "reason": "RISK-1", "approvedBy": "ana",
            "expiresAt": "2099-01-01T00:00:00Z"})
    };
    cluster.patch(NAME, &json!({"exemptions": [exemption("shop", &shop)]})).await?;
    refuses(&cluster, &shop, OTHER, false).await?;
    refuses(&cluster, &bank, OTHER, true).await?;
    cluster.condition(NAME, "Enforced", "BindingDeleted").await?;

    // what is lifted and comes again does not bring back what was stopped
    cluster.patch(NAME, &json!({"timeline": {"blockCreateAt": "2099-01-01T00:00:00Z"}})).await?;
    refuses(&cluster, &bank, OTHER, false).await?;
    cluster.patch(NAME, &json!({"timeline": {"blockCreateAt": in_seconds(-10)}})).await?;
    refuses(&cluster, &bank, OTHER, true).await?;
    refuses(&cluster, &bank, STOPPED, false).await?;
    cluster.kubectl(&format!("annotate depr {NAME} goldenpath.dev/resume=now")).await?;
    refuses(&cluster, &bank, STOPPED, true).await?;
    cluster.condition(NAME, "Enforced", "Enforced").await?;

    // nor does a typo in one entry keep an exemption from the other
    let broken = entry("stopped", "variables.template.spec.containers.size() == 1");
    let more =
        json!({"matches": [broken, other()], "exemptions": [exemption("shop", &shop), exemption("bank", &bank)]});
    cluster.patch(NAME, &more).await?;
    refuses(&cluster, &bank, OTHER, false).await?;
    refuses(&cluster, &bank, STOPPED, true).await?;
    let message = cluster.condition(NAME, "Enforced", "InvalidMatch").await?;
    ensure!(message.contains("matches[stopped].expression") && message.contains("object.spec.template"), "{message}");
    Ok(())
}

fn entry(name: &str, expression: &str) -> Value {
    let rule = json!({"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"]});
    json!({"name": name, "resourceRules": [rule], "expression": expression})
}

fn other() -> Value {
    entry("other", "object.spec.?ingressClassName.orValue('') == 'other'")
}

/// Waits until a new ingress of a class is refused, or is not.
async fn refuses(cluster: &Cluster, namespace: &str, class: Option<&str>, refused: bool) -> Result<()> {
    let object = ingress(namespace, "not-there", class);
    wait::until(&format!("{class:?} in {namespace}: refused {refused}"), PATIENCE, async || {
        let (accepted, said) = cluster.said(&["create", "--dry-run=server", "-f", "-"], &object).await?;
        ensure!(accepted || said.contains("denied request"), "{said}");
        ensure!(
            accepted != refused,
            "{said}{}",
            cluster.object(&format!("depr {NAME}")).await?["status"]["conditions"]
        );
        Ok(Some(()))
    })
    .await
}

//! Who may have something made: whoever may make it without us, and nobody else.

use anyhow::{Result, ensure};
use goldenpath_e2e::CommandOutput;
use serde_json::{Value, json};

use super::{Shop, api, cart};

/// What the API server answers when a tenant writes the service.
async fn writes(shop: &Shop<'_>, workloads: Value) -> Result<CommandOutput> {
    let kubeconfig = shop.control_plane.as_account(&shop.namespace, "default").await?;
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": "cart", "namespace": shop.namespace},
        "spec": {"goldenPathRef": {"name": shop.path}, "workloads": workloads},
    });
    let kubeconfig = kubeconfig.to_string_lossy().into_owned();
    let args = ["--kubeconfig", &kubeconfig, "apply", "-f", "-"];
    shop.control_plane.kubectl_output(args, &service.to_string()).await
}

/// Gives the tenant a right in its namespace.
async fn grant(shop: &Shop<'_>, verbs: &str, resource: &str) -> Result<()> {
    let name = resource.replace('.', "-");
    shop.kubectl(&format!("create role {name} --verb={verbs} --resource={resource}")).await?;
    let to = format!("create rolebinding {name} --role={name} --serviceaccount={}:default", shop.namespace);
    shop.kubectl(&to).await.map(drop)
}

#[tokio::test]
async fn nobody_has_made_what_they_may_not_make_themselves() -> Result<()> {
    let shop = Shop::open().await?;
    grant(&shop, "get,create,patch", "platformservices.goldenpath.dev").await?;
    let reference = json!([{"name": "api", "ref": {"kind": "Deployment", "name": "web"}}]);
    writes(&shop, reference.clone()).await?.success()?;

    let of_kind = |kind: &str| json!([{"name": "api", "template": {"image": "a", "kind": kind}}]);
    let scheduled = json!([{"name": "api", "template": {"image": "a", "schedule": "0 3 * * *"}}]);
    for (resource, group, template) in [
        ("deployments", ".apps", api(json!({"image": "a"}))),
        ("statefulsets", ".apps", of_kind("StatefulSet")),
        ("cronjobs", ".batch", scheduled),
        ("services", "", api(cart("1.0.0"))),
    ] {
        let refused = writes(&shop, template.clone()).await?;
        let words = format!("a template here makes {resource}, and system:serviceaccount:{}:default", shop.namespace);
        ensure!(!refused.status.success() && refused.stderr.contains(&words), "{}", refused.stderr);
        println!("{}", refused.stderr.lines().last().unwrap_or_default());
        grant(&shop, "create", &format!("{resource}{group}")).await?;
        writes(&shop, template).await?.success()?;
        writes(&shop, reference.clone()).await?.success()?;
    }

    // who asks for nothing new is not asked for rights
    writes(&shop, api(cart("1.0.0"))).await?.success()?;
    shop.kubectl("delete rolebinding deployments-apps").await?;
    let kubeconfig = shop.control_plane.as_account(&shop.namespace, "default").await?;
    let kubeconfig = kubeconfig.to_string_lossy().into_owned();
    let label = r#"{"metadata":{"labels":{"a":"b"}}}"#;
    let patch =
        ["--kubeconfig", &kubeconfig, "patch", "psvc", "cart", "-n", &shop.namespace, "--type=merge", "-p", label];
    shop.control_plane.kubectl(patch).await?;
    let refused = writes(&shop, api(cart("2.0.0"))).await?;
    ensure!(refused.stderr.contains("a template here makes deployments"), "{}", refused.stderr);
    Ok(())
}

//! Others who write to what a template made: what they change once is put back, and nobody is fought.

use anyhow::{Result, ensure};
use goldenpath_e2e::wait;
use serde_json::{Value, json};

use super::{FIRST_CPU, PATIENCE, Shop, assert_filled, cart};

fn image(object: &Value) -> &str {
    object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn an_edit_is_put_back_once_and_then_left_and_reported() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    let mark = shop.control_plane.audit_mark()?;
    shop.kubectl("set image deployment/cart-api api=example.com/other:1").await?;
    let object = shop.until("deployment/cart-api", "put back", |o| image(o).ends_with("cart:1.0.0")).await?;
    assert_filled(&object, FIRST_CPU)?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 1, "{writes}");
    shop.ready("Ready").await?;

    shop.kubectl("set image deployment/cart-api api=example.com/other:2").await?;
    let message = shop.ready("FieldConflict").await?;
    let parts =
        ["workloads[api]", "Deployment cart-api", "containers[api].image", "kubectl-set", "change the template"];
    ensure!(parts.iter().all(|part| message.contains(part)), "{message}");
    ensure!(image(&shop.object("deployment/cart-api").await?) == "example.com/other:2", "it is left as it is");

    // the template has the last word as soon as it says something new
    shop.asks_for(cart("1.1.0")).await?;
    ensure!(image(&shop.runs("deployment/cart-api").await?).ends_with("cart:1.1.0"), "the template counts");
    Ok(())
}

#[tokio::test]
async fn what_is_removed_from_a_made_object_comes_back() -> Result<()> {
    let shop = Shop::open().await?;
    let mut template = cart("1.0.0");
    template["env"] = json!([{"name": "MODE", "value": "fast"}]);
    shop.asks_for(template).await?;
    shop.runs("deployment/cart-api").await?;
    let has_env = |o: &Value| o["spec"].to_string().contains("MODE");
    shop.kubectl("set env deployment/cart-api MODE-").await?;
    shop.until("deployment/cart-api", "with env again", has_env).await?;
    shop.kubectl("patch service/cart-api --type=json -p=[{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":9}]").await?;
    shop.until("service/cart-api", "with its port again", |o| o["spec"]["ports"][0]["targetPort"] == 8080).await?;
    shop.kubectl("label service/cart-api goldenpath.dev/template-").await?;
    shop.until("service/cart-api", "with its label again", |o| {
        o["metadata"]["labels"]["goldenpath.dev/template"] == "cart"
    })
    .await?;
    shop.kubectl("delete service/cart-api deployment/cart-api").await?;
    assert_filled(&shop.runs("deployment/cart-api").await?, FIRST_CPU)?;
    shop.until("service/cart-api", "made anew", |_| true).await?;
    Ok(())
}

/// A tool that applies by force, again and again, what the template says otherwise.
#[tokio::test]
async fn a_manager_that_applies_by_force_is_left_alone() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    let forced = |tag: usize| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart-api", "namespace": shop.namespace},
            "spec": {"template": {"spec": {"containers": [{"name": "api", "image": format!("example.com/gitops:{tag}")}]}}},
        })
        .to_string()
    };
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"];
    let mark = shop.control_plane.audit_mark()?;
    for tag in 0..20 {
        shop.control_plane.kubectl_stdin(apply, &forced(tag)).await?;
    }
    let message = shop.ready("FieldConflict").await?;
    ensure!(message.contains("containers[api].image") && message.contains("gitops, too"), "{message}");
    let writes = shop.operator_writes(mark)?;
    println!("20 forced applies: {writes}");
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");

    // what is not in dispute goes on
    let mut template = cart("1.1.0");
    template["replicas"] = json!(2);
    shop.asks_for(template.clone()).await?;
    let object = shop.until("deployment/cart-api", "scaled", |o| o["spec"]["replicas"] == 2).await?;
    ensure!(image(&object) == "example.com/gitops:19", "{}", image(&object));
    let mark = shop.control_plane.audit_mark()?;
    shop.control_plane.kubectl_stdin(apply, &forced(20)).await?;
    shop.until("deployment/cart-api", "on 20", |o| image(o).ends_with(":20")).await?;
    shop.ready("FieldConflict").await?;
    ensure!(shop.operator_writes(mark)?.of("patch", "deployments") == 0, "{}", shop.operator_writes(mark)?);

    // one of the two gives in
    template["image"] = json!("example.com/gitops:20");
    shop.asks_for(template).await?;
    shop.ready("Ready").await?;
    Ok(())
}

/// Rollouts that nobody asked the template for: a restart, a pause, a quota. None of them is a reason to write.
#[tokio::test]
async fn fields_that_the_template_leaves_open_are_everybodys() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    let mark = shop.control_plane.audit_mark()?;
    shop.kubectl("rollout restart deployment/cart-api").await?;
    shop.kubectl("set resources deployment/cart-api --limits=cpu=2").await?;
    shop.kubectl("annotate deployment/cart-api example.com/by=hand").await?;
    wait::until("the restart to be over", PATIENCE, async || {
        Ok((shop.names("replicasets").await?.len() >= 3).then_some(()))
    })
    .await?;
    shop.kubectl("rollout status deployment/cart-api --timeout=60s").await?;
    let object = shop.object("deployment/cart-api").await?;
    ensure!(
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] == "2",
        "{}",
        object["spec"]
    );
    shop.ready("Ready").await?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");
    Ok(())
}

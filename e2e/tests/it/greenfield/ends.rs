//! What goes, what stays, and what changes hands: none of it restarts a pod.

use anyhow::{Result, ensure};
use goldenpath::api::labels;
use serde_json::{Value, json};

use super::{FIRST_CPU, PATIENCE, Shop, api, assert_filled, cart, is_owned, label, managers};

fn named() -> Value {
    json!([{"name": "api", "ref": {"kind": "Deployment", "name": "cart-api"}}])
}

/// The operator has no record of applying, and no annotation.
fn is_handed_over(object: &Value) -> bool {
    let applies = managers(object).iter().any(|(m, operation)| m == labels::FIELD_MANAGER && operation == "Apply");
    !applies && object["metadata"]["annotations"].get(labels::APPLIED).is_none() && !is_owned(object)
}

#[tokio::test]
async fn a_deleted_service_takes_what_it_made_with_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    shop.kubectl("delete psvc/cart").await?;
    for object in ["deployment/cart-api", "service/cart-api"] {
        shop.gone(object).await?;
    }
    Ok(())
}

/// In the foreground the garbage collector deletes what is owned first, while the service is still there.
#[tokio::test]
async fn what_the_garbage_collector_deletes_is_not_made_again() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    let mark = shop.control_plane.audit_mark()?;
    shop.kubectl("delete psvc/cart --cascade=foreground --timeout=60s").await?;
    shop.gone("psvc/cart").await?;
    shop.gone("deployment/cart-api").await?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") + writes.of("patch", "services") == 0, "{writes}");
    Ok(())
}

#[tokio::test]
async fn keep_takes_effect_at_once_and_so_does_delete() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks(api(cart("1.0.0")), json!({"deletionPolicy": "Keep"})).await?;
    let object = shop.runs("deployment/cart-api").await?;
    ensure!(!is_owned(&object) && !is_owned(&shop.object("service/cart-api").await?), "{}", object["metadata"]);
    let pods = shop.pods().await?;
    for (policy, owned) in [("Delete", true), ("Keep", false)] {
        shop.asks(api(cart("1.0.0")), json!({"deletionPolicy": policy})).await?;
        for name in ["deployment/cart-api", "service/cart-api"] {
            shop.until(name, policy, |o| is_owned(o) == owned).await?;
        }
    }
    ensure!(shop.pods().await? == pods, "nothing restarts");

    shop.kubectl("delete psvc/cart").await?;
    let object = shop.until("deployment/cart-api", "handed over", is_handed_over).await?;
    shop.until("service/cart-api", "handed over", is_handed_over).await?;
    ensure!(labels::WORKLOAD_LABELS.iter().all(|name| label(&object, name).is_none()), "{}", object["metadata"]);
    assert_filled(&object, FIRST_CPU)?;

    // the service comes back, and has it back
    shop.asks(api(cart("1.0.0")), json!({"deletionPolicy": "Keep"})).await?;
    shop.runs("deployment/cart-api").await?;
    ensure!(shop.pods().await? == pods, "nothing restarts");
    shop.asks(api(cart("1.1.0")), json!({"deletionPolicy": "Keep"})).await?;
    assert_filled(&shop.runs("deployment/cart-api").await?, FIRST_CPU)
}

#[tokio::test]
async fn from_template_to_ref_and_back_nothing_restarts() -> Result<()> {
    let shop = Shop::open().await?;
    let mut template = cart("1.0.0");
    template["env"] = json!([{"name": "MODE", "value": "fast"}]);
    shop.asks_for(template.clone()).await?;
    let before = shop.runs("deployment/cart-api").await?;
    let (first, service) = (shop.pods().await?, shop.object("service/cart-api").await?);

    shop.asks(named(), json!({})).await?;
    let object = shop.until("deployment/cart-api", "handed over", is_handed_over).await?;
    let beside = shop.until("service/cart-api", "handed over", is_handed_over).await?;
    ensure!(object["spec"] == before["spec"] && beside["spec"] == service["spec"], "{}", object["spec"]);
    ensure!(label(&object, labels::PATH) == Some(&shop.path), "it stays on the road: {}", object["metadata"]);
    shop.ready("Ready").await?;
    ensure!(shop.pods().await? == first, "nothing restarts");

    // it is the team's now, whatever it deploys with: no conflict with us
    let mine = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart-api", "namespace": shop.namespace},
        "spec": {"template": {"spec": {"containers": [{"name": "api", "image": "ghcr.io/acme/cart:1.1.0"}]}}},
    });
    let apply = ["apply", "--server-side", "--field-manager=team", "-f", "-"];
    shop.control_plane.kubectl_stdin(apply, &mine.to_string()).await?;
    let object = shop.runs("deployment/cart-api").await?;
    assert_filled(&object, FIRST_CPU)?;
    ensure!(object["spec"].to_string().contains("MODE"), "{}", object["spec"]);
    let ports = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart-api", "namespace": shop.namespace},
        "spec": {"ports": [{"port": 8080, "protocol": "TCP", "targetPort": 8080, "appProtocol": "http"}]},
    });
    shop.control_plane.kubectl_stdin(apply, &ports.to_string()).await?;

    // and back: what another manager applies stays its own, the rest is the template's
    let pods = shop.pods().await?;
    template["image"] = json!("ghcr.io/acme/cart:1.1.0");
    shop.asks_for(template).await?;
    shop.until("deployment/cart-api", "taken back", is_owned).await?;
    shop.until("service/cart-api", "taken back", is_owned).await?;
    shop.runs("deployment/cart-api").await?;
    ensure!(shop.pods().await? == pods, "nothing restarts");
    Ok(())
}

#[tokio::test]
async fn an_entry_that_is_removed_takes_its_objects_with_it_or_leaves_them() -> Result<()> {
    let shop = Shop::open().await?;
    let two = |first: Value| json!([first, {"name": "web", "template": cart("1.0.0")}]);
    let worker = json!({"name": "worker", "template": cart("1.0.0")});
    shop.asks(two(worker.clone()), json!({})).await?;
    for name in ["deployment/cart-worker", "service/cart-worker", "deployment/cart-web"] {
        shop.until(name, "made", is_owned).await?;
    }

    // another kind under the same name: the old one goes, and its port with it
    let cron = json!({"name": "worker", "template": {"image": "example.com/worker:1", "schedule": "0 0 1 1 *"}});
    shop.asks(two(cron), json!({})).await?;
    shop.gone("deployment/cart-worker").await?;
    shop.gone("service/cart-worker").await?;
    shop.until("cronjob/cart-worker", "made", is_owned).await?;

    shop.asks(json!([{"name": "web", "template": cart("1.0.0")}]), json!({})).await?;
    shop.gone("cronjob/cart-worker").await?;
    shop.runs("deployment/cart-web").await?;

    // removed and to be kept in one and the same change
    let pods = shop.pods().await?;
    shop.asks(json!([worker]), json!({"deletionPolicy": "Keep"})).await?;
    let object = shop.until("deployment/cart-web", "handed over", is_handed_over).await?;
    ensure!(labels::WORKLOAD_LABELS.iter().all(|name| label(&object, name).is_none()), "{}", object["metadata"]);
    shop.until("service/cart-web", "handed over", is_handed_over).await?;
    shop.until("deployment/cart-worker", "made", |_| true).await?;
    ensure!(pods.iter().all(|pod| !pod.is_empty()) && shop.pods().await?.contains(&pods[0]), "it runs on");
    Ok(())
}

/// A Service cannot become headless, so the one of the Deployment goes with it.
#[tokio::test]
async fn another_kind_of_workload_is_made_anew_with_its_service() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    let mut set = cart("1.0.0");
    set["kind"] = json!("StatefulSet");
    for (template, object, address) in
        [(set, "statefulset/cart-api", true), (cart("1.0.0"), "deployment/cart-api", false)]
    {
        shop.asks_for(template).await?;
        shop.until(object, "made", is_owned).await?;
        shop.until("service/cart-api", "of its kind", |o| (o["spec"]["clusterIP"] == "None") == address).await?;
        assert_filled(&shop.runs(object).await?, FIRST_CPU)?;
    }
    shop.gone("statefulset/cart-api").await
}

#[tokio::test]
async fn a_port_that_is_taken_out_takes_its_service_with_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    shop.asks_for(json!({"image": "ghcr.io/acme/cart:1.0.0"})).await?;
    shop.gone("service/cart-api").await?;
    // while a template is invalid nobody knows what it means, so nothing goes
    shop.asks_for(cart("1.0.0")).await?;
    shop.until("service/cart-api", "made", is_owned).await?;
    shop.asks_for(json!({"image": "a", "patch": {"kind": "Job"}})).await?;
    shop.ready("InvalidTemplate").await?;
    tokio::time::timeout(PATIENCE, shop.object("service/cart-api")).await??;
    Ok(())
}

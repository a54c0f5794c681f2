//! Objects that were there before, under the name that a template would take.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{LONGEST_PAUSE, Shop, cart, is_owned};

fn foreign(shop: &Shop<'_>) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart-api", "namespace": shop.namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {
                "metadata": {"labels": {"app": "cart"}},
                "spec": {"containers": [{"name": "cart", "image": "example.com/cart:0.9"}]},
            },
        },
    })
}

#[tokio::test]
async fn a_workload_of_that_name_that_was_not_made_by_us_is_left_alone() -> Result<()> {
    let shop = Shop::open().await?;
    // in one step, so that the service may well be seen before the workload
    let mark = shop.control_plane.audit_mark()?;
    let service = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": "cart", "namespace": shop.namespace},
        "spec": {"goldenPathRef": {"name": shop.path}, "workloads": [{"name": "api", "template": cart("1.0.0")}]},
    });
    let both = json!({"apiVersion": "v1", "kind": "List", "items": [foreign(&shop), service]});
    shop.control_plane.apply(&both.to_string()).await?;
    let message = shop.ready("NameTaken").await?;
    let parts =
        ["workloads[api]", "Deployment cart-api", "not made by this PlatformService", "ref instead of template"];
    ensure!(parts.iter().all(|part| message.contains(part)), "{message}");
    shop.kubectl("rollout status deployment/cart-api --timeout=60s").await?;
    let object = shop.object("deployment/cart-api").await?;
    ensure!(!is_owned(&object) && object["metadata"].get("labels").is_none(), "{}", object["metadata"]);
    ensure!(
        object["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/cart:0.9",
        "{}",
        object["spec"]
    );
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.total() == writes.of("patch", "platformservices/status"), "{writes}");
    ensure!(shop.kubectl("get service -o name").await?.is_empty(), "no Service beside it");

    // it is adopted as the message says, and made once it is gone
    let named = json!([{"name": "api", "ref": {"kind": "Deployment", "name": "cart-api"}}]);
    shop.asks(named, json!({})).await?;
    shop.ready("Ready").await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.ready("NameTaken").await?;
    shop.kubectl("delete deployment/cart-api").await?;
    shop.runs("deployment/cart-api").await?;
    Ok(())
}

#[tokio::test]
async fn a_service_of_that_name_that_was_not_made_by_us_is_left_alone() -> Result<()> {
    let shop = Shop::open().await?;
    shop.kubectl("create service clusterip cart-api --tcp=80:8080").await?;
    let before = shop.object("service/cart-api").await?;
    shop.asks_for(cart("1.0.0")).await?;
    let message = shop.ready("NameTaken").await?;
    let parts = ["workloads[api]", "Service cart-api exists", "leave port out"];
    ensure!(parts.iter().all(|part| message.contains(part)), "{message}");
    shop.kubectl("rollout status deployment/cart-api --timeout=60s").await?;
    ensure!(shop.object("service/cart-api").await? == before, "the Service of somebody else is as it was");

    // nobody tells the operator: it asks again by itself
    shop.kubectl("delete service/cart-api").await?;
    shop.ready_within(LONGEST_PAUSE, "Ready").await?;
    ensure!(is_owned(&shop.object("service/cart-api").await?), "it is made now");
    Ok(())
}

#[tokio::test]
async fn two_services_that_make_the_same_name_do_not_share_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    let first = shop.runs("deployment/cart-api").await?;
    // called the same as its entry, so the object is called cart-api, too
    let other = json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": "cart-api", "namespace": shop.namespace},
        "spec": {"goldenPathRef": {"name": shop.path}, "workloads": [{"name": "cart-api", "template": cart("9.0.0")}]},
    });
    shop.control_plane.apply(&other.to_string()).await?;
    let reason = "{.status.conditions[?(@.type==\"Ready\")].reason}";
    shop.control_plane.expect(&shop.namespace, "psvc/cart-api", reason, "WorkloadClaimed").await?;
    let object = shop.object("deployment/cart-api").await?;
    ensure!(object["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"], "{}", object["metadata"]);
    Ok(())
}

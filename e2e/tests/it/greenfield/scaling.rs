//! The number of pods: the template's, an autoscaler's, or whoever scales.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Shop, cart};

fn autoscaler(namespace: &str) -> String {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "cart", "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart-api"},
            "minReplicas": 3, "maxReplicas": 9,
        },
    })
    .to_string()
}

fn replicas(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or_default()
}

fn scaled(image: &str, replicas: i32) -> Value {
    let mut template = cart(image);
    template["replicas"] = json!(replicas);
    template
}

#[tokio::test]
async fn replicas_that_the_template_leaves_open_are_nobodys_or_the_autoscalers() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(cart("1.0.0")).await?;
    shop.runs("deployment/cart-api").await?;
    shop.kubectl("scale deployment/cart-api --replicas=2").await?;
    shop.asks_for(cart("1.1.0")).await?;
    let object = shop.until("deployment/cart-api", "on 1.1.0", |o| o["spec"].to_string().contains("1.1.0")).await?;
    ensure!(replicas(&object) == 2, "{}", object["spec"]);
    shop.control_plane.apply(&autoscaler(&shop.namespace)).await?;
    shop.until("deployment/cart-api", "scaled to its least", |o| replicas(o) == 3).await?;
    shop.asks_for(cart("1.2.0")).await?;
    let object = shop.until("deployment/cart-api", "on 1.2.0", |o| o["spec"].to_string().contains("1.2.0")).await?;
    ensure!(replicas(&object) == 3, "{}", object["spec"]);
    Ok(())
}

/// A real autoscaler, which scales to its least number although nobody measures anything here.
#[tokio::test]
async fn an_autoscaler_has_the_last_word_about_replicas_of_a_template() -> Result<()> {
    let shop = Shop::open().await?;
    shop.asks_for(scaled("1.0.0", 2)).await?;
    ensure!(replicas(&shop.runs("deployment/cart-api").await?) == 2, "as the template says");
    let mark = shop.control_plane.audit_mark()?;
    shop.control_plane.apply(&autoscaler(&shop.namespace)).await?;
    shop.until("deployment/cart-api", "scaled by it", |o| replicas(o) == 3).await?;
    shop.runs("deployment/cart-api").await?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "deployments") == 0, "{writes}");

    // every other change of the template arrives, one of the number included, and the number stays
    shop.asks_for(scaled("1.1.0", 5)).await?;
    let object = shop.until("deployment/cart-api", "on 1.1.0", |o| o["spec"].to_string().contains("1.1.0")).await?;
    ensure!(replicas(&object) == 3, "{}", object["spec"]);
    shop.runs("deployment/cart-api").await?;
    ensure!(replicas(&shop.object("deployment/cart-api").await?) == 3, "still the autoscaler's");

    // without one it is the template's again, with the next look at the workload
    shop.kubectl("delete hpa/cart").await?;
    shop.asks_for(scaled("1.2.0", 5)).await?;
    shop.until("deployment/cart-api", "scaled by the template", |o| replicas(o) == 5).await?;
    Ok(())
}

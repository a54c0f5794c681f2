//! An operator that was away: it writes nothing that is in place, and does what was asked for meanwhile.

use anyhow::{Result, ensure};
use goldenpath_e2e::space::Space;
use goldenpath_e2e::{ControlPlane, Options};
use serde_json::json;

use super::{FIRST_CPU, Shop, assert_filled, cart, path};

#[tokio::test]
async fn an_unchanged_service_costs_no_write_over_a_restart_and_what_was_missed_is_done() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let mut operator = control_plane.start_operator(kubeconfig.clone()).await?;
    control_plane.golden_path(&path("green", FIRST_CPU)).await?;
    let open = async |prefix: &str| {
        let namespace = control_plane.namespace(prefix).await?;
        anyhow::Ok(Shop { space: Space { control_plane: &control_plane, namespace }, path: "green".to_owned() })
    };
    let (shop, missed, later) = (open("still").await?, open("missed").await?, open("later").await?);
    let api = json!({"name": "api", "template": cart("1.0.0")});
    let entries = json!([
        api,
        {"name": "ledger", "template": {"kind": "StatefulSet", "image": "example.com/ledger:1", "port": 8080, "replicas": 2}},
        {"name": "sweeper", "template": {"image": "example.com/sweeper:1", "schedule": "0 0 1 1 *",
            "resources": {"requests": {"cpu": "0.1"}}}},
    ]);
    shop.asks(entries.clone(), json!({})).await?;
    missed.asks(entries, json!({})).await?;
    for shop in [&shop, &missed] {
        shop.runs("statefulset/cart-ledger").await?;
        shop.runs("deployment/cart-api").await?;
    }
    operator.terminate().await?;

    missed.asks(json!([api]), json!({})).await?;
    missed.kubectl("set image deployment/cart-api api=example.com/other:1").await?;
    let mark = control_plane.audit_mark()?;
    let operator = control_plane.start_operator(kubeconfig).await?;
    missed.gone("statefulset/cart-ledger").await?;
    missed.gone("service/cart-ledger").await?;
    missed.gone("cronjob/cart-sweeper").await?;
    missed.until("deployment/cart-api", "put back", |o| o["spec"].to_string().contains("cart:1.0.0")).await?;
    // passes over the others are done by the time that one which begins now is answered
    later.asks_for(cart("1.0.0")).await?;
    assert_filled(&later.runs("deployment/cart-api").await?, FIRST_CPU)?;
    shop.kubectl("annotate psvc/cart example.com/touched=yes").await?;
    later.asks_for(cart("1.1.0")).await?;
    later.runs("deployment/cart-api").await?;
    let writes = shop.operator_writes(mark)?;
    println!("unchanged over a restart: {writes}");
    ensure!(writes.total() == 0, "{writes}");
    drop(operator);
    Ok(())
}

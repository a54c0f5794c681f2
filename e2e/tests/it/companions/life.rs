//! A companion from its first day to its last.

use anyhow::{Result, ensure};
use goldenpath_e2e::{ControlPlane, Options, wait};
use serde_json::{Value, json};

use super::{BUDGET, PATIENCE, Shop, WEB, WEB_BUDGET, budget, deployment, is_owned, path, workload};

#[tokio::test]
async fn a_budget_is_made_beside_what_runs_and_never_blocks_a_drain_of_its_one_pod() -> Result<()> {
    let shop = Shop::open().await?;
    shop.apply(&deployment("web")).await?;
    shop.kubectl("rollout status deployment/web --timeout=60s").await?;
    let pod = shop.names("pods").await?.remove(0);
    let mark = shop.control_plane.audit_mark()?;
    shop.adopts(&[("Deployment", "web")], &json!({})).await?;
    let object = shop.until(WEB_BUDGET, "made", is_owned).await?;
    ensure!(object["spec"]["selector"] == json!({"matchLabels": {"app": "web"}}), "{}", object["spec"]);
    ensure!(object["spec"]["maxUnavailable"] == 1, "{}", object["spec"]);
    shop.verdict(BUDGET, WEB, "Applied").await?;
    ensure!(shop.names("pods").await? == [pod.clone()], "nothing restarts");
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "poddisruptionbudgets") == 1, "{writes}");

    shop.until(WEB_BUDGET, "one pod may go", |o| o["status"]["disruptionsAllowed"] == 1).await?;
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": shop.namespace},
    });
    let evict = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", shop.namespace);
    shop.control_plane.kubectl_stdin(["create", "--raw", &evict, "-f", "-"], &eviction.to_string()).await?;
    shop.gone(&format!("pod/{pod}")).await?;

    shop.kubectl("delete psvc/shop").await?;
    shop.gone(WEB_BUDGET).await
}

#[tokio::test]
async fn a_companion_is_kept_as_the_path_says_and_goes_with_its_default() -> Result<()> {
    let control_plane = ControlPlane::with_goldenpath().await?;
    let name = control_plane.namespace("changing").await?;
    control_plane.golden_path(&path(&name, &[budget()])).await?;
    let shop = Shop::on(control_plane, &name).await?;
    shop.web().await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    let patch = r#"patch pdb/web-disruption-budget --type=merge -p={"spec":{"maxUnavailable":5}}"#;
    shop.kubectl(patch).await?;
    shop.until(WEB_BUDGET, "put back", |o| o["spec"]["maxUnavailable"] == 1).await?;
    shop.kubectl("delete pdb/web-disruption-budget").await?;
    shop.until(WEB_BUDGET, "made anew", is_owned).await?;

    // the next revision says something else: the object changes in place, and nobody restarts
    let uid = shop.object(WEB_BUDGET).await?["metadata"]["uid"].clone();
    let mut two = budget();
    two["resources"][0]["spec"]["maxUnavailable"] = json!(2);
    control_plane.golden_path(&path(&name, &[two])).await?;
    let object = shop.until(WEB_BUDGET, "of the next revision", |o| o["spec"]["maxUnavailable"] == 2).await?;
    ensure!(object["metadata"]["uid"] == uid, "{}", object["metadata"]);
    control_plane.golden_path(&path(&name, &[])).await?;
    shop.gone(WEB_BUDGET).await?;
    ensure!(shop.names("replicasets").await?.len() == 1, "nothing restarts");
    Ok(())
}

#[tokio::test]
async fn what_is_off_the_road_has_nothing_beside_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.apply(&deployment("web")).await?;
    shop.adopts(&[("Deployment", "web")], &json!({"mode": "Observe"})).await?;
    let message = shop.verdict(BUDGET, WEB, "Missing").await?;
    ensure!(message.contains("mode: Observe makes nothing"), "{message}");
    ensure!(shop.names("pdb").await?.is_empty(), "observed");
    let on = json!({"mode": "Default"});
    shop.adopts(&[("Deployment", "web")], &on).await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    shop.kubectl("annotate deployment/web goldenpath.dev/skip=*").await?;
    shop.gone(WEB_BUDGET).await?;
    shop.kubectl("annotate deployment/web goldenpath.dev/skip-").await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    let without = json!({"mode": "Default", "overrides": [{"default": BUDGET, "reason": "one pod"}]});
    shop.adopts(&[("Deployment", "web")], &without).await?;
    shop.gone(WEB_BUDGET).await?;
    shop.adopts(&[("Deployment", "web")], &on).await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;

    // suspended: it stays, and nothing is written
    shop.adopts(&[("Deployment", "web")], &json!({"mode": "Default", "suspend": true})).await?;
    shop.verdict(BUDGET, WEB, "Applied").await?;
    let mark = shop.control_plane.audit_mark()?;
    shop.kubectl("delete pdb/web-disruption-budget").await?;
    shop.verdict(BUDGET, WEB, "Missing").await?;
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.total() == writes.of("patch", "platformservices/status"), "{writes}");

    shop.adopts(&[("Deployment", "web")], &json!({"mode": "Default", "suspend": false})).await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    shop.adopts(&[("Deployment", "web")], &json!({"mode": "Observe"})).await?;
    shop.gone(WEB_BUDGET).await?;
    Ok(())
}

/// A canary and its stable twin, whose budgets would each cover both: an eviction of a pod under two budgets fails.
#[tokio::test]
async fn pods_that_two_workloads_share_get_one_budget() -> Result<()> {
    let shop = Shop::open().await?;
    for name in ["canary", "stable"] {
        let mut twin = workload("Deployment", name, "twins");
        twin["spec"]["selector"]["matchLabels"]["app"] = json!("twins");
        shop.apply(&twin).await?;
    }
    shop.adopts(&[("Deployment", "canary"), ("Deployment", "stable")], &json!({})).await?;
    let covered = async |state: &str| {
        let service = shop.until("psvc/shop", "judged", |s| s["status"]["defaults"].is_array()).await?;
        let all = service["status"]["defaults"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(all.iter().filter(|d| d["name"] == BUDGET && d["state"] == state).count())
    };
    wait::until("one budget for both", PATIENCE, async || {
        let seen = (shop.names("pdb").await?.len(), covered("Applied").await?, covered("SatisfiedByTeam").await?);
        ensure!(seen == (1, 1, 1), "{seen:?}");
        Ok(Some(()))
    })
    .await?;
    // and it stays at that
    let (mark, budget) = (shop.control_plane.audit_mark()?, shop.names("pdb").await?);
    shop.kubectl("rollout restart deployment/canary deployment/stable").await?;
    shop.kubectl("rollout status deployment/canary --timeout=60s").await?;
    shop.kubectl("rollout status deployment/stable --timeout=60s").await?;
    ensure!(shop.names("pdb").await? == budget, "another budget");
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "poddisruptionbudgets") + writes.of("delete", "poddisruptionbudgets") == 0, "{writes}");
    Ok(())
}

#[tokio::test]
async fn an_unchanged_companion_costs_no_write_over_a_restart_and_what_was_missed_is_done() -> Result<()> {
    let control_plane = ControlPlane::start(Options::default()).await?;
    let kubeconfig = control_plane.install_goldenpath().await?;
    let mut operator = control_plane.start_operator(kubeconfig.clone()).await?;
    control_plane.golden_path(&path("beside", &[budget()])).await?;
    let (still, missed, later) = (
        Shop::on(&control_plane, "beside").await?,
        Shop::on(&control_plane, "beside").await?,
        Shop::on(&control_plane, "beside").await?,
    );
    for shop in [&still, &missed] {
        shop.web().await?;
        shop.kubectl("rollout status deployment/web --timeout=60s").await?;
        shop.verdict(BUDGET, WEB, "Applied").await?;
    }
    operator.terminate().await?;
    missed.kubectl("delete pdb/web-disruption-budget").await?;
    let mark = control_plane.audit_mark()?;
    let operator = control_plane.start_operator(kubeconfig).await?;
    missed.until(WEB_BUDGET, "made anew", is_owned).await?;
    // passes over the others are done by the time that one which begins now is answered
    later.web().await?;
    later.verdict(BUDGET, WEB, "Applied").await?;
    still.kubectl("annotate psvc/shop example.com/touched=yes").await?;
    later.kubectl("delete psvc/shop").await?;
    later.gone(WEB_BUDGET).await?;
    let writes = still.operator_writes(mark)?;
    println!("unchanged over a restart: {writes}");
    ensure!(writes.total() == 0, "{writes}");

    // a deleted path takes its companions along
    control_plane.kubectl(["delete", "goldenpath", "beside"]).await?;
    still.gone(WEB_BUDGET).await?;
    drop(operator);
    Ok(())
}

/// Names, and kinds beside which a budget means nothing.
#[tokio::test]
async fn each_kind_of_workload_has_what_means_something_beside_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.apply(&deployment("web")).await?;
    let mut set = workload("StatefulSet", "web", "set");
    set["spec"]["serviceName"] = json!("web");
    shop.apply(&set).await?;
    shop.apply(&workload("DaemonSet", "web", "agents")).await?;
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "app", "image": "example.com/app:1"}]});
    shop.apply(&json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }))
    .await?;
    let all = ["Deployment", "StatefulSet", "DaemonSet", "CronJob"].map(|kind| (kind, "web"));
    shop.adopts(&all, &json!({})).await?;
    shop.verdict(BUDGET, WEB, "Applied").await?;
    shop.verdict(BUDGET, "statefulset-web", "Applied").await?;
    for moot in ["daemonset-web", "cronjob-web"] {
        let message = shop.verdict(BUDGET, moot, "SatisfiedByTeam").await?;
        ensure!(message.contains("is nothing for a"), "{message}");
    }
    let mut names = shop.names("pdb").await?;
    names.sort();
    ensure!(names == ["web-disruption-budget", "web-statefulset-disruption-budget"], "{names:?}");
    let selects = |object: &Value| object["spec"]["selector"]["matchLabels"]["app"].clone();
    ensure!(selects(&shop.object("pdb/web-statefulset-disruption-budget").await?) == "set", "its own pods");
    Ok(())
}

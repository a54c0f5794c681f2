//! What the team has of its own goes first.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{BUDGET, Shop, WEB, WEB_BUDGET, deployment, is_owned, own_budget};

#[tokio::test]
async fn a_team_with_its_own_budget_gets_none_as_long_as_it_has_it() -> Result<()> {
    let shop = Shop::open().await?;
    shop.apply(&own_budget("web")).await?;
    let before = shop.object("pdb/own").await?["spec"].clone();
    let mark = shop.control_plane.audit_mark()?;
    shop.web().await?;
    let message = shop.verdict(BUDGET, WEB, "SatisfiedByTeam").await?;
    ensure!(message == "PodDisruptionBudget own covers its pods", "{message}");
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "poddisruptionbudgets") == 0, "{writes}");
    ensure!(shop.names("pdb").await? == ["own"], "only the team's own");
    let own = shop.object("pdb/own").await?;
    ensure!(own["spec"] == before && !is_owned(&own), "it stays as it is: {own}");

    // turned to other pods, it covers these no more; and back
    shop.apply(&own_budget("other")).await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    shop.verdict(BUDGET, WEB, "Applied").await?;
    shop.apply(&own_budget("web")).await?;
    shop.gone(WEB_BUDGET).await?;
    shop.verdict(BUDGET, WEB, "SatisfiedByTeam").await?;
    shop.kubectl("delete pdb/own").await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    Ok(())
}

#[tokio::test]
async fn an_object_of_that_name_that_is_not_ours_is_left_alone() -> Result<()> {
    let shop = Shop::open().await?;
    let mut theirs = own_budget("other");
    theirs["metadata"]["name"] = json!("web-disruption-budget");
    shop.apply(&theirs).await?;
    shop.apply(&deployment("web")).await?;
    shop.adopts(&[("Deployment", "web")], &json!({})).await?;
    let message = shop.verdict(BUDGET, WEB, "Missing").await?;
    ensure!(message.contains("web-disruption-budget exists") && message.contains("rename or delete it"), "{message}");
    let object = shop.object(WEB_BUDGET).await?;
    ensure!(!is_owned(&object) && object["spec"]["selector"]["matchLabels"]["app"] == "other", "{object}");
    shop.kubectl("delete pdb/web-disruption-budget").await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    Ok(())
}

/// A tool that applies the companion's field server-side, by force and again and again.
#[tokio::test]
async fn nobody_is_fought_over_a_companion() -> Result<()> {
    let shop = Shop::open().await?;
    shop.web().await?;
    shop.until(WEB_BUDGET, "made", is_owned).await?;
    let apply =
        ["apply", "-n", &shop.namespace, "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"];
    let mark = shop.control_plane.audit_mark()?;
    for number in 2..12 {
        let forced = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web-disruption-budget"},
            "spec": {"maxUnavailable": number},
        });
        shop.control_plane.kubectl_stdin(apply, &forced.to_string()).await?;
    }
    let message = shop.verdict(BUDGET, WEB, "Missing").await?;
    ensure!(message.contains("spec.maxUnavailable is applied by gitops"), "{message}");
    let writes = shop.operator_writes(mark)?;
    ensure!(writes.of("patch", "poddisruptionbudgets") == 0, "{writes}");
    Ok(())
}

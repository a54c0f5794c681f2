//! The operator on a machine whose clock is an hour ahead, and on a cluster that is too old.

use anyhow::{Context, Result, ensure};
use goldenpath_e2e::fault_proxy::{Action, Fault, FaultProxy, Target, Verb};
use goldenpath_e2e::{Operator, OperatorOptions, wait};
use serde_json::json;

use super::{Cluster, PATIENCE, in_seconds, legacy_ingress};

const NAME: &str = "in-half-an-hour";
/// The machine's clock is ahead by this much, as far as the API server's answers tell.
const HOUR: i64 = 3_600;

/// A date that the machine's clock has passed and the API server's has not takes no effect. The same date takes effect where
/// the two clocks agree, which is seen at the end: no operator was ever so fast.
pub async fn dates_count_by_the_api_server(cluster: &mut Cluster) -> Result<()> {
    cluster.dies().await?;
    let proxy = FaultProxy::start(&cluster.control_plane).await?;
    let kubeconfig = proxy.kubeconfig(&cluster.control_plane.install_goldenpath().await?)?;
    let version = json!({"major": "1", "minor": "32+", "gitVersion": "v1.32.9-vendor.1", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": ""});
    let old = proxy.fault(Fault::new(Target::of(Verb::Get, ""), Action::Answer(version)));
    let ahead = proxy.fault(Fault::new(Target::all(), Action::ShiftDate(-HOUR)));
    let options = OperatorOptions { kubeconfig, ..OperatorOptions::default() };
    let says = "definitions: the API server is of Kubernetes v1.32.9-vendor.1, and this operator needs 1.33 or newer";
    let mut operator = Operator::start_unready(&cluster.control_plane, &options, says).await?;
    println!("{}", operator.is_unready(says).await?);
    drop(old);
    operator.ready().await?;
    let log = operator.log();
    let line = log.lines().find(|line| line.contains("so far ahead of this machine's")).context("it says nothing")?;
    println!("{line}");
    let metrics = operator.metrics().await?;
    let found = metrics.lines().find_map(|line| line.strip_prefix("goldenpath_clock_ahead_seconds "));
    let found: f64 = found.context("no metric")?.parse()?;
    ensure!((-3_602.0..-3_598.0).contains(&found), "{found}");

    cluster.apply(&legacy_ingress(NAME, &json!({"timeline": {"warnAt": in_seconds(-HOUR / 2)}}))).await?;
    // by the shifted clock it has not even been made
    cluster.until(NAME, "Planned", |object| object["status"]["stage"] == "Planned").await?;
    operator.kill().await?;
    drop((ahead, proxy));
    cluster.comes_back().await?;
    cluster.until(NAME, "Warning", |object| object["status"]["stage"] == "Warning").await?;
    cluster.kubectl(&format!("delete depr {NAME}")).await?;
    wait::until("the policies to be gone", PATIENCE, async || {
        let left = cluster.kubectl("get validatingadmissionpolicies,validatingadmissionpolicybindings -o name -l goldenpath.dev/deprecation").await?;
        ensure!(left.is_empty(), "{left}");
        Ok(Some(()))
    })
    .await
}

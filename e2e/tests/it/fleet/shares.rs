//! Adoption of a small cluster, through all that can happen to it, against `recount.sh`.

use std::time::Duration;

use anyhow::{Result, ensure};
use goldenpath_e2e::{ControlPlane, Operator, Options, programs, wait};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

const PATH: &str = r#"
apiVersion: goldenpath.dev/v1alpha1
kind: GoldenPath
metadata: {name: web}
spec:
  version: "2026.11"
  defaultFor: [Deployment, CronJob]
  defaults:
  - name: non-root
    podTemplate: {spec: {securityContext: {runAsNonRoot: true}}}
"#;

fn workload(kind: &str, namespace: &str, name: &str, team: Option<&str>) -> Value {
    let pod = json!({"metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": if kind == "CronJob" { "OnFailure" } else { "Always" },
            "containers": [{"name": "app", "image": "example.com/app:1"}]}});
    let spec = match kind {
        "CronJob" => json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod}}}),
        _ => json!({"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": pod}),
    };
    let version = if kind == "CronJob" { "batch/v1" } else { "apps/v1" };
    json!({"apiVersion": version, "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": namespace, "labels": team.map_or_else(|| json!({}), |team| json!({"goldenpath.dev/team": team}))}})
}

fn service(namespace: &str, name: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"workloads": [{"name": "app", "ref": {"kind": kind, "name": name}}]},
    })
}

fn namespace(name: &str, team: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"goldenpath.dev/team": team}}})
}

struct Story {
    control_plane: ControlPlane,
    operator: Operator,
}

impl Story {
    async fn apply(&self, objects: &[Value]) -> Result<String> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        self.control_plane.kubectl_stdin(["apply", "--server-side", "-f", "-"], &list).await
    }

    /// Waits until status and metrics say what the recount says.
    async fn settles(&self, what: &str) -> Result<Value> {
        let waits = format!("status and recount to agree after {what}");
        let settled = wait::until(&waits, PATIENCE, async || {
            let recount = self.recount()?;
            let text = self.control_plane.kubectl(["get", "goldenpath", "web", "-o", "json"]).await?;
            let path: Value = serde_json::from_str(&text)?;
            let mut status = path["status"]["adoption"].clone();
            for counts in ["workloads", "teams"] {
                let percent = status[counts]["percent"].as_str().and_then(|p| p.parse::<f64>().ok());
                // jq writes 50.0 as 50
                status[counts]["percent"] = percent.map_or(Value::Null, number);
                ensure!(status[counts] == recount[counts], "{counts}: {} against {}", status[counts], recount[counts]);
            }
            let metrics = self.operator.metrics().await?;
            let eligible = sum(&metrics, "goldenpath_eligible_workloads{", "path=\"web\"");
            let adopted = sum(&metrics, "goldenpath_workloads{", "state=\"Adopted\"");
            let counted = json!([adopted, eligible]);
            let expected = json!([recount["workloads"]["adopted"], recount["workloads"]["eligible"]]);
            ensure!(counted == expected, "metrics say {counted}, the recount {expected}");
            Ok(Some(recount))
        });
        let recount = settled.await?;
        println!("fleet: after {what}: {recount}");
        Ok(recount)
    }

    fn recount(&self) -> Result<Value> {
        let output = std::process::Command::new(programs::repository().join("e2e/recount.sh"))
            .arg("web")
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .env("KUBECTL", &self.control_plane.programs().kubectl)
            .output()?;
        ensure!(output.status.success(), "recount.sh: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    async fn kubectl(&self, words: &[&str]) -> Result<()> {
        self.control_plane.kubectl(words.iter().copied()).await.map(drop)
    }
}

fn number(value: f64) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or_default()
}

/// The sum of all series of a name with a label.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let series = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn adoption_is_what_a_recount_says_through_all_that_happens() {
    let control_plane = ControlPlane::start(Options { nodes: 1, ..Options::default() }).await.unwrap();
    let kubeconfig = control_plane.install_goldenpath().await.unwrap();
    let operator = control_plane.start_operator(kubeconfig.clone()).await.unwrap();
    control_plane.golden_path(PATH).await.unwrap();
    let mut story = Story { control_plane, operator };
    let objects = [
        namespace("shop", "shops"),
        namespace("search", "search"),
        workload("Deployment", "shop", "cart", None),
        workload("Deployment", "shop", "checkout", Some("payments")),
        workload("Deployment", "search", "index", None),
        workload("CronJob", "search", "sweep", None),
        workload("StatefulSet", "search", "store", None),
        workload("Deployment", "kube-system", "dns", None),
    ];
    story.apply(&objects).await.unwrap();
    let counts = story.settles("workloads came").await.unwrap();
    assert_eq!(counts["workloads"], json!({"adopted": 0, "claimed": 0, "eligible": 4, "percent": 0}));
    assert_eq!(counts["teams"]["total"], 3);

    let services = [service("shop", "cart", "Deployment"), service("search", "store", "StatefulSet")];
    story.apply(&services).await.unwrap();
    let counts = story.settles("services came").await.unwrap();
    // the StatefulSet's kind takes no path by itself, so its service takes none either
    assert_eq!(counts["workloads"]["claimed"], 1);

    story.kubectl(&["set", "image", "-n", "shop", "deployment/cart", "app=example.com/app:2"]).await.unwrap();
    let rolled_out = async {
        story.control_plane.expect("shop", "psvc/cart", "{.status.adoption.state}", "Adopted").await?;
        story.settles("a deploy").await
    };
    assert_eq!(rolled_out.await.unwrap()["teams"]["adopted"], 1);

    story.kubectl(&["label", "namespace", "shop", "goldenpath.dev/team=carts", "--overwrite"]).await.unwrap();
    story
        .kubectl(&["label", "-n", "shop", "deployment/checkout", "goldenpath.dev/team-", "--overwrite"])
        .await
        .unwrap();
    assert_eq!(story.settles("teams changed").await.unwrap()["teams"]["total"], 2);

    story.operator.kill().await.unwrap();
    story.kubectl(&["delete", "-n", "search", "deployment/index"]).await.unwrap();
    story.operator = story.control_plane.start_operator(kubeconfig).await.unwrap();
    assert_eq!(story.settles("a deletion that nobody saw").await.unwrap()["workloads"]["eligible"], 3);

    story.kubectl(&["delete", "-n", "shop", "psvc/cart"]).await.unwrap();
    assert_eq!(story.settles("a service left").await.unwrap()["workloads"]["claimed"], 0);
    let table = story.control_plane.kubectl(["get", "gp"]).await.unwrap();
    println!("{table}");
}

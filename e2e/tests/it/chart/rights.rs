//! The operator does everything it can with the rights of the chart: none is missing, and none is idle.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldenpath::api::WorkloadKind;
use goldenpath::plan::claim::Claim;
use goldenpath::rbac::{CLUSTER_RULES, LEASE_RULES, NAMESPACE_RULES};
use goldenpath_e2e::audit::account;
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::rights::{Granted, missing, unused};
use goldenpath_e2e::{ControlPlane, Operator, OperatorOptions, Options, concurrency, install, programs, wait};
use serde_json::{Value, json};

use super::{monitoring, shipped};

const PATIENCE: Duration = Duration::from_mins(2);
const PATH: &str = "web-service";

/// A workload of every kind, and a service that names them all.
fn fleet(namespace: &str) -> String {
    let container = json!({"name": "app", "image": "example.com/app:1"});
    let pod = |restart: &str| {
        let spec = json!({"restartPolicy": restart, "containers": [container]});
        json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
    };
    let workload = |kind: WorkloadKind| {
        let selector = json!({"matchLabels": {"app": "web"}});
        let spec = match kind {
            WorkloadKind::CronJob => {
                json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": pod("Never")}}})
            }
            WorkloadKind::StatefulSet => json!({"serviceName": "web", "selector": selector, "template": pod("Always")}),
            _ => json!({"selector": selector, "template": pod("Always")}),
        };
        let metadata = json!({"name": "web", "namespace": namespace});
        json!({"apiVersion": kind.api_version(), "kind": kind, "metadata": metadata, "spec": spec})
    };
    let mut items: Vec<Value> = WorkloadKind::ALL.into_iter().map(workload).collect();
    let reference = |kind: WorkloadKind| json!({"name": kind.plural(), "ref": {"kind": kind, "name": "web"}});
    items.push(json!({
        "apiVersion": "goldenpath.dev/v1alpha1",
        "kind": "PlatformService",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "goldenPathRef": {"name": PATH},
            "workloads": WorkloadKind::ALL.into_iter().map(reference).collect::<Vec<_>>(),
        },
    }));
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A path that also has something to say to whoever writes a workload.
fn path(version: &str, default: &str) -> String {
    let mut path = json!(shipped(PATH, version, &[default]));
    path["spec"]["revisionHistoryLimit"] = json!(0);
    path["spec"]["defaultFor"] = json!(WorkloadKind::ALL);
    path["spec"]["defaults"][0]["check"] = json!(format!("has(variables.template.spec.{default})"));
    path["spec"]["admission"] = json!({"level": "Warn"});
    path.to_string()
}

/// A path that asks for one object of every kind that the operator may make beside a workload.
fn path_with_companions(version: &str, default: &str) -> Result<String> {
    let mut path: Value = serde_json::from_str(&path(version, default))?;
    let resources = json!([
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"maxUnavailable": 1}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"policyTypes": ["Ingress"], "ingress": [{}]}},
        {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": {"maxReplicas": 3}},
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "spec": {"endpoints": [{"port": "http"}]}},
    ]);
    let defaults = path["spec"]["defaults"].as_array_mut().context("no defaults")?;
    defaults.push(json!({"name": "beside", "resources": resources}));
    Ok(path.to_string())
}

/// A kind that not every cluster has, and a Service that one of its objects can select.
fn monitored(namespace: &str) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": [
        monitoring("ServiceMonitor", "servicemonitors"),
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]},
        },
    ]})
    .to_string()
}

async fn labelled(control_plane: &ControlPlane, namespace: &str, value: &str) -> Result<()> {
    for kind in WorkloadKind::ALL {
        let object = format!("{}/web", kind.plural());
        control_plane.expect(namespace, &object, "{.metadata.labels.goldenpath\\.dev/revision}", value).await?;
    }
    Ok(())
}

/// Everything that an operator ever does.
async fn whole_life(control_plane: &ControlPlane) -> Result<()> {
    let namespace = control_plane.namespace("rights").await?;
    control_plane.apply(&monitored(&namespace)).await?;
    let served = "crd/servicemonitors.monitoring.coreos.com";
    control_plane.kubectl(["wait", "--for=condition=Established", served, "--timeout=60s"]).await?;
    let revision = control_plane.golden_path(&path_with_companions("1", "enableServiceLinks")?).await?;
    control_plane.apply(&fleet(&namespace)).await?;
    labelled(control_plane, &namespace, &revision).await?;
    let beside = ["pdb", "networkpolicy", "hpa", "servicemonitor"].map(|kind| format!("{kind}/web-beside"));
    for object in &beside {
        control_plane.expect(&namespace, object, "{.metadata.labels.goldenpath\\.dev/companion}", "web").await?;
    }

    // a person pulls both brakes and lets them go: the same Event comes twice, and is one with a count
    let of_revision = format!("goldenpath.dev/revision={revision}");
    for kind in ["mutatingadmissionpolicybindings", "validatingadmissionpolicybindings"] {
        control_plane.kubectl(["delete", kind, "-l", &of_revision]).await?;
    }
    let ready = "{.status.conditions[?(@.type==\"Ready\")].reason}";
    let object = format!("goldenpath/{PATH}");
    let annotate = async |what: &str| control_plane.kubectl(["annotate", "goldenpath", PATH, what]).await;
    annotate("example.com/touched=1").await?;
    control_plane.expect("default", &object, ready, "BindingDeleted").await?;
    annotate("goldenpath.dev/resume=1").await?;
    control_plane.expect("default", &object, ready, "Ready").await?;

    templates(control_plane, &namespace).await?;
    something_is_deprecated(control_plane).await?;

    // another revision: everything moves, and the policy of the first one goes
    let old = format!("controllerrevision/{revision}");
    let revision = control_plane.golden_path(&path("2", "automountServiceAccountToken")).await?;
    labelled(control_plane, &namespace, &revision).await?;
    control_plane.kubectl(["wait", "--for=delete", "--timeout=120s", "-n", NAMESPACE, &old]).await?;
    for object in &beside {
        control_plane.kubectl(["wait", "--for=delete", object, "-n", &namespace, "--timeout=60s"]).await?;
    }
    control_plane.kubectl(["delete", "platformservice", "web", "-n", &namespace]).await?;
    labelled(control_plane, &namespace, "").await?;
    control_plane.kubectl(["delete", "goldenpath", PATH]).await?;
    wait::until("the policies of the path to go", PATIENCE, async || {
        let kinds = "mutatingadmissionpolicies,validatingadmissionpolicies";
        let left = control_plane.kubectl(["get", kinds, "-l", "goldenpath.dev/path", "-o", "name"]).await?;
        ensure!(left.trim().is_empty(), "{left}");
        Ok(Some(()))
    })
    .await
}

/// A Deprecation of what the operator may read anyway.
async fn something_is_deprecated(control_plane: &ControlPlane) -> Result<()> {
    let rules = json!([{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"]}]);
    let spec = json!({"matches": [{"name": "all", "resourceRules": rules}]});
    let deprecation = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "Deprecation", "metadata": {"name": "old"},
        "spec": spec});
    control_plane.apply(&deprecation.to_string()).await?;
    control_plane.expect("default", "depr/old", "{.status.consumers.objects}", "1").await?;
    control_plane.kubectl(["delete", "depr", "old"]).await.map(drop)
}

/// A service that makes a workload of every kind that can be made, one of them with an autoscaler, and drops them again.
async fn templates(control_plane: &ControlPlane, namespace: &str) -> Result<()> {
    let template = |name: &str, more: Value| {
        let mut template = json!({"image": "example.com/app:1"});
        template.as_object_mut().into_iter().for_each(|t| t.extend(more.as_object().cloned().unwrap_or_default()));
        json!({"name": name, "template": template})
    };
    let service = |entries: Value| {
        let spec = json!({"goldenPathRef": {"name": PATH}, "workloads": entries});
        let metadata = json!({"name": "green", "namespace": namespace});
        json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": metadata, "spec": spec})
            .to_string()
    };
    let api = |replicas: i32| template("api", json!({"port": 80, "replicas": replicas}));
    let ledger = template("ledger", json!({"kind": "StatefulSet"}));
    let sweeper = template("sweeper", json!({"schedule": "0 0 1 1 *"}));
    control_plane.apply(&service(json!([api(1), ledger, sweeper]))).await?;
    let applied = "{.metadata.labels.goldenpath\\.dev/template}";
    for object in ["deployment/green-api", "service/green-api", "statefulset/green-ledger", "cronjob/green-sweeper"] {
        control_plane.expect(namespace, object, applied, "green").await?;
    }
    // the Service is read where it is not watched, and written when its port changes
    control_plane.apply(&service(json!([template("api", json!({"port": 81, "replicas": 3}))]))).await?;
    control_plane.expect(namespace, "service/green-api", "{.spec.ports[0].port}", "81").await?;
    // the autoscaler that the path brought has the last word about the others
    control_plane.expect(namespace, "deployment/green-api", "{.spec.replicas}", "1").await?;
    control_plane.apply(&service(json!([template("other", json!({"schedule": "0 0 1 1 *"}))]))).await?;
    let gone = async |object: &str| {
        control_plane.kubectl(["wait", "--for=delete", object, "-n", namespace, "--timeout=60s"]).await
    };
    for object in ["deployment/green-api", "service/green-api", "statefulset/green-ledger", "cronjob/green-sweeper"] {
        gone(object).await?;
    }
    control_plane.kubectl(["delete", "platformservice", "green", "-n", namespace]).await?;
    gone("cronjob/green-other").await.map(drop)
}

#[tokio::test]
async fn every_right_of_the_operator_is_used_and_none_is_missing() -> Result<()> {
    concurrency::among_few().await; // a leader that is not served for 3 s ends
    // a server that streams lists is never asked for one, and not every server does
    let flags = vec!["--feature-gates=WatchList=false".to_owned()];
    let control_plane = ControlPlane::start(Options { api_server_flags: flags, ..Options::default() }).await?;
    let user = account(NAMESPACE, ACCOUNT);
    let granted: [Granted; 3] = [(CLUSTER_RULES, None), (LEASE_RULES, None), (NAMESPACE_RULES, Some(NAMESPACE))];
    let mark = control_plane.audit_mark()?;
    // the same rights by the other way to install
    let manifest = programs::repository().join("manifests/install.yaml");
    control_plane.kubectl(["apply", "--server-side", "-f", &manifest.to_string_lossy()]).await?;
    install::crds_served(&control_plane).await?;
    let kubeconfig = control_plane.as_account(NAMESPACE, ACCOUNT).await?;
    // an installation that is gone, with its namespace, has left its claim to lead
    let gone = Claim { namespace: "gone".to_owned(), identity: "goldenpath_0".to_owned(), term: "1".to_owned() };
    control_plane.apply(&serde_json::to_string(&gone.policy())?).await?;
    let env = vec![("GOLDENPATH_LEADER_ELECT".to_owned(), "true".to_owned())];
    let options = OperatorOptions { kubeconfig, env, ..OperatorOptions::default() };
    let mut operator = Operator::start(&control_plane, &options).await?;
    // its next renewal is refused, so it reads the Lease, finds its own name, and goes on
    wait::until("the Lease to be annotated", PATIENCE, async || {
        control_plane
            .kubectl(["annotate", "lease/goldenpath", "-n", NAMESPACE, "example.com/touched=1"])
            .await
            .map(Some)
    })
    .await?;
    // one that follows watches the Lease, and a watch is in the log when it ends
    Operator::start(&control_plane, &options).await?.terminate().await?;
    let lived = whole_life(&control_plane).await;
    operator.terminate().await?;
    let missing = missing(&control_plane.audit_since(mark)?, &user, &granted);
    ensure!(missing.is_empty(), "add to src/rbac.rs, or do not do it: {missing:#?}");
    lived.context("the operator did not do everything that it can")?;
    let all_used = wait::until("every right to be used", Duration::from_secs(10), async || {
        let unused = unused(&control_plane.audit_since(mark)?, &user, &granted);
        ensure!(unused.is_empty(), "granted in src/rbac.rs and never used: {unused:#?}");
        Ok(Some(()))
    });
    all_used.await
}

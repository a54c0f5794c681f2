//! The operator dies, comes back, and has nothing to say. On a control plane of its own: it is the only one with it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use goldenpath::api::{PlatformService, State, WorkloadKind, labels};
use goldenpath_e2e::audit::{self, Counts, Mark};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::story::{NAME, Style, Team, workloads};
use goldenpath_e2e::{ControlPlane, Operator, Options, concurrency, wait};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::{assert_bare, assert_filled, image, manifest, path, tell, unique};

const MANY: usize = 100;

/// A control plane whose operator one test at a time may kill.
struct Alone {
    control_plane: ControlPlane,
    kubeconfig: PathBuf,
    operator: Mutex<Option<Operator>>,
}

impl Alone {
    async fn get() -> Result<&'static Self> {
        static ALONE: OnceCell<Result<Alone, String>> = OnceCell::const_new();
        let start = async || {
            let control_plane = ControlPlane::start(Options::default()).await?;
            let kubeconfig = control_plane.install_goldenpath().await?;
            anyhow::Ok(Alone { control_plane, kubeconfig, operator: Mutex::new(None) })
        };
        concurrency::shared(&ALONE, start).await
    }

    /// The operator, running, for this test alone.
    async fn operator(&self) -> Result<MutexGuard<'_, Option<Operator>>> {
        let mut operator = self.operator.lock().await;
        if !operator.as_ref().is_some_and(Operator::is_alive) {
            *operator = Some(self.control_plane.start_operator(self.kubeconfig.clone()).await?);
        }
        Ok(operator)
    }

    async fn path(&self) -> Result<String> {
        let name = unique(&self.control_plane).await?;
        self.control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
        Ok(name)
    }

    fn writes(&self, mark: Mark) -> Result<Counts> {
        Ok(audit::writes(&self.control_plane.audit_since(mark)?, &audit::account(NAMESPACE, ACCOUNT)))
    }

    /// Waits until each watch of the operator has ended and was opened anew: everything came by once more.
    async fn watched_anew(&self, mark: Mark) -> Result<()> {
        let kinds = ["deployments", "statefulsets", "daemonsets", "cronjobs", "platformservices", "goldenpaths"];
        let user = audit::account(NAMESPACE, ACCOUNT);
        wait::until("each watch to end by its timeout", PATIENCE, async || {
            let events = self.control_plane.audit_since(mark)?;
            let ended =
                |kind: &&str| !events.iter().any(|e| e.user == user && e.verb == "watch" && e.resource == **kind);
            let left: Vec<&str> = kinds.iter().copied().filter(|kind| ended(kind)).collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(Some(()))
        })
        .await
    }
}

async fn annotate(team: &Team<'_>, annotation: &str) -> Result<Value> {
    team.control_plane.kubectl(["annotate", "deployment", NAME, annotation, "-n", &team.namespace]).await?;
    team.object().await
}

#[tokio::test]
async fn break_glass_works_with_the_operator_dead() -> Result<()> {
    let alone = Alone::get().await?;
    let mut operator = alone.operator().await?;
    let path = alone.path().await?;
    let teams = [Style::Apply, Style::ServerSide, Style::Helm, Style::Replace, Style::Edit];
    let mut ready = Vec::new();
    for style in teams {
        let mut team = Team::new(&alone.control_plane, style, WorkloadKind::Deployment).await?;
        let first = manifest(WorkloadKind::Deployment);
        team.rolls_out(&first).await?;
        team.takes(&path, &json!({})).await?;
        let object = team.rolls_out(&image(&first, "2")).await?;
        assert_filled(&team, &object)?;
        ready.push(team);
    }
    operator.as_mut().context("no operator")?.kill().await?;
    tell(ready.into_iter().map(|team| (team.to_string(), breaks_glass(team)))).await
}

async fn breaks_glass(team: Team<'_>) -> Result<()> {
    let skip = |object: &Value| object["metadata"]["annotations"].get(labels::SKIP).cloned();
    let object = annotate(&team, &format!("{}=*", labels::SKIP)).await?;
    assert_bare(&team, &object)?;
    team.settled().await?;
    ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);

    let undo = ["rollout", "undo", "deployment", NAME, "--to-revision=1", "-n", &team.namespace];
    team.control_plane.kubectl(undo).await?;
    let object = team.settled().await?;
    assert_bare(&team, &object)?;
    let image_now = &team.pod_spec(&object)["containers"][0]["image"];
    ensure!(image_now == "example.com/web:1", "{image_now}");
    ensure!(skip(&object) == Some(json!("*")), "{}", object["metadata"]["annotations"]);
    ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);

    let object = annotate(&team, &format!("{}-", labels::SKIP)).await?;
    assert_bare(&team, &object)?;
    ensure!(skip(&object).is_none(), "{}", object["metadata"]["annotations"]);
    // whoever applies on the server has a conflict with `kubectl rollout undo` now, with or without us
    let next = ["set", "image", "deployment", NAME, "app=example.com/web:3", "-n", &team.namespace];
    team.control_plane.kubectl(next).await?;
    let object = team.settled().await?;
    assert_filled(&team, &object)
}

#[tokio::test]
async fn deploys_are_filled_with_the_operator_dead() -> Result<()> {
    let alone = Alone::get().await?;
    let mut operator = alone.operator().await?;
    let path = alone.path().await?;
    let first = manifest(WorkloadKind::Deployment);
    let mut ready = Vec::new();
    for style in Style::ALL {
        let mut team = Team::new(&alone.control_plane, style, WorkloadKind::Deployment).await?;
        team.rolls_out(&first).await?;
        team.takes(&path, &json!({})).await?;
        ready.push(team);
    }
    operator.as_mut().context("no operator")?.kill().await?;
    let story = async |mut team: Team<'static>| {
        for tag in ["2", "3"] {
            let object = team.rolls_out(&image(&first, tag)).await?;
            assert_filled(&team, &object)?;
        }
        ensure!(team.replica_sets().await?.len() == 3, "{:?}", team.replica_sets().await?);
        Ok(team)
    };
    let deployed = ready.into_iter().map(|team| async { (team.to_string(), story(team).await) });
    let deployed = futures::future::join_all(deployed).await;
    drop(operator);
    let _operator = alone.operator().await?;
    // the operator that comes back sees what happened without it
    let look = async |team: Result<Team<'static>>| team?.is_adopted().await;
    tell(deployed.into_iter().map(|(name, team)| (name, look(team)))).await
}

#[tokio::test]
async fn a_hundred_adoptions_are_a_hundred_label_patches_and_a_restart_is_none() -> Result<()> {
    let alone = Alone::get().await?;
    let mut operator = alone.operator().await?;
    let path = alone.path().await?;
    let namespace = alone.control_plane.namespace("many").await?;
    let client = alone.control_plane.client().await?;
    let names: Vec<String> = (0..MANY).map(|i| format!("web-{i:03}")).collect();
    let deployments = workloads(&client, WorkloadKind::Deployment, &namespace);
    let create = async |name: &String| {
        let mut object = manifest(WorkloadKind::Deployment);
        object["metadata"]["name"] = json!(name);
        object["spec"]["replicas"] = json!(0);
        deployments.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        anyhow::Ok(())
    };
    stream::iter(&names).map(create).buffer_unordered(16).try_collect::<()>().await?;
    let generations = settled_generations(&client, &namespace).await?;

    let (mark, started) = (alone.control_plane.audit_mark()?, Instant::now());
    let services: Api<PlatformService> = Api::namespaced(client.clone(), &namespace);
    let adopt = async |name: &String| {
        let spec = json!({"goldenPathRef": {"name": path}, "workloads": [{"name": "main", "ref": {"kind": "Deployment", "name": name}}]});
        let service = json!({"apiVersion": "goldenpath.dev/v1alpha1", "kind": "PlatformService", "metadata": {"name": name}, "spec": spec});
        services.create(&PostParams::default(), &serde_json::from_value(service)?).await?;
        anyhow::Ok(())
    };
    stream::iter(&names).map(adopt).buffer_unordered(16).try_collect::<()>().await?;
    all_migrating(&services).await?;
    let claimed = "{.status.adoption.workloads.claimed}";
    alone.control_plane.expect("default", &format!("goldenpath/{path}"), claimed, &MANY.to_string()).await?;
    let adopting = alone.writes(mark)?;
    println!("adopting {MANY}: {adopting}");
    ensure!(settled_generations(&client, &namespace).await? == generations, "a generation changed");

    let mark_restart = alone.control_plane.audit_mark()?;
    let old = operator.as_mut().context("no operator")?;
    let (status, took) = old.terminate().await?;
    println!("the operator ended with {status} in {took:?}");
    *operator = Some(alone.control_plane.start_operator(alone.kubeconfig.clone()).await?);
    alone.watched_anew(alone.control_plane.audit_mark()?).await?;
    let restart = alone.writes(mark_restart)?;
    println!("restart and an idle period: {restart}");
    ensure!(restart.total() == 0, "{restart}");
    let all = alone.writes(mark)?;
    let count = (all.of("patch", "deployments"), all.of("patch", "platformservices/status"));
    let sums = all.of("patch", "goldenpaths/status");
    ensure!(count.0 == MANY && count.1 <= MANY && all.total() == count.0 + count.1 + sums, "{all}");
    ensure!(sums as u64 <= started.elapsed().as_secs() + 1, "more than one write a second to one status: {all}");
    ensure!(settled_generations(&client, &namespace).await? == generations, "a generation changed");
    Ok(())
}

async fn settled_generations(client: &kube::Client, namespace: &str) -> Result<Vec<(String, i64)>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    wait::until("all Deployments to be observed", PATIENCE, async || {
        let all = api.list(&ListParams::default()).await?.items;
        let observed = |d: &&Deployment| d.status.as_ref().and_then(|s| s.observed_generation) == d.metadata.generation;
        let count = all.iter().filter(observed).count();
        ensure!(count == MANY, "{count} of {MANY}");
        Ok(Some(all.iter().map(|d| (d.name_any(), d.metadata.generation.unwrap_or_default())).collect()))
    })
    .await
}

async fn all_migrating(services: &Api<PlatformService>) -> Result<()> {
    wait::until("all services to be evaluated", Duration::from_mins(2), async || {
        let all = services.list(&ListParams::default()).await?.items;
        let state = |s: &PlatformService| s.status.as_ref()?.adoption.as_ref().map(|a| a.state);
        let count = all.iter().filter(|s| state(s) == Some(State::Migrating)).count();
        ensure!(count == MANY, "{count} of {MANY}");
        Ok(Some(()))
    })
    .await
}

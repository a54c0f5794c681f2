//! Kubernetes 1.35, whose API server fills nothing: the operator does, right behind the rollouts of teams.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use goldenpath::api::{PlatformService, VerdictState, WorkloadKind, labels};
use goldenpath_e2e::audit::{Mark, account, writes};
use goldenpath_e2e::installed::{ACCOUNT, NAMESPACE};
use goldenpath_e2e::space::PATIENCE;
use goldenpath_e2e::story::{NAME, Style, Team};
use goldenpath_e2e::{ControlPlane, Operator, Options, concurrency, wait};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard};

use super::{FILLS, image, manifest, path, unique};

mod filled;
mod leaving;
mod left;
mod rivals;
mod upgrade;

/// One control plane for all stories; one at a time may kill its operator.
struct Older {
    control_plane: ControlPlane,
    kubeconfig: PathBuf,
    operator: RwLock<Option<Operator>>,
}

impl Older {
    async fn get() -> Result<&'static Self> {
        static OLDER: OnceCell<Result<Older, String>> = OnceCell::const_new();
        let start = async || {
            let control_plane = ControlPlane::start(Options::older()?).await?;
            let kubeconfig = control_plane.install_goldenpath().await?;
            anyhow::Ok(Older { control_plane, kubeconfig, operator: RwLock::new(None) })
        };
        concurrency::shared(&OLDER, start).await
    }

    /// The operator runs while the answer is held.
    async fn running(&self) -> Result<RwLockReadGuard<'_, Option<Operator>>> {
        let mut operator = self.operator.write().await;
        if !operator.as_ref().is_some_and(Operator::is_alive) {
            *operator = Some(self.control_plane.start_operator(self.kubeconfig.clone()).await?);
        }
        Ok(operator.downgrade())
    }

    /// A path of one's own.
    async fn path(&self) -> Result<String> {
        let name = unique(&self.control_plane).await?;
        self.control_plane.golden_path(&path(&name, "100m", "128Mi")).await?;
        Ok(name)
    }
}

/// Whether every fill is there and held by the operator.
fn is_filled(team: &Team<'_>, object: &Value) -> Result<()> {
    let spec = team.pod_spec(object);
    for container in spec["containers"].as_array().into_iter().flatten() {
        ensure!(container["resources"]["requests"] == json!({"cpu": "100m", "memory": "128Mi"}), "{container}");
        ensure!(container["securityContext"] == json!({"allowPrivilegeEscalation": false}), "{container}");
        ensure!(container["lifecycle"] == json!({"preStop": {"sleep": {"seconds": 5}}}), "{container}");
    }
    ensure!(spec["securityContext"] == json!({"seccompProfile": {"type": "RuntimeDefault"}}), "{spec}");
    for field in FILLS {
        let owners = team.owners(object, field)?;
        ensure!(owners == [labels::FALLBACK_MANAGER], "{field:?} {owners:?} {}", object["metadata"]["managedFields"]);
    }
    Ok(())
}

/// Waits until the workload is as it should be, and then until it runs everywhere.
async fn becomes(team: &Team<'_>, what: &str, is: impl Fn(&Team<'_>, &Value) -> Result<()>) -> Result<Value> {
    wait::until(&format!("{team} to be {what}"), PATIENCE, async || {
        let object = team.object().await?;
        is(team, &object)?;
        Ok(Some(()))
    })
    .await?;
    team.settled().await
}

fn is_let_go_of(team: &Team<'_>, object: &Value) -> Result<()> {
    let managers = object["metadata"]["managedFields"].to_string();
    ensure!(!managers.contains(labels::FALLBACK_MANAGER), "{team}: {managers}");
    Ok(())
}

/// The operator has changed the workload once. What it tried while somebody else wrote is refused, and changes nothing.
fn is_patched_once(team: &Team<'_>, mark: Mark, most_tries: usize) -> Result<()> {
    let user = account(NAMESPACE, ACCOUNT);
    let mut events = team.control_plane.audit_since(mark)?;
    events.retain(|event| event.namespace == team.namespace);
    let all = writes(&events, &user);
    events.retain(|event| !matches!(event.code, 409 | 422));
    let patches = writes(&events, &user).of("patch", "deployments");
    ensure!(patches == 1 && all.of("patch", "deployments") <= most_tries, "{patches} of {all} were not refused");
    Ok(())
}

/// A team whose workload was filled, and its first manifest.
async fn filled(older: &'static Older, path: &str, style: Style, more: &Value) -> Result<(Team<'static>, Value)> {
    let mut team = Team::new(&older.control_plane, style, WorkloadKind::Deployment).await?;
    let first = manifest(WorkloadKind::Deployment);
    team.rolls_out(&first).await?;
    team.takes(path, more).await?;
    team.deploys(&image(&first, "2")).await?;
    becomes(&team, "filled", is_filled).await?;
    team.is_adopted().await?;
    Ok((team, first))
}

/// Waits until the operator has looked at everything that has happened: the service is written, and its status follows.
async fn looked_at(team: &Team<'_>, path: &str, more: &Value) -> Result<()> {
    let mut more = more.clone();
    let version = team.object().await?["metadata"]["resourceVersion"].clone();
    more["team"] = json!(format!("team-{}", version.as_str().unwrap_or_default()));
    team.asks_for(path, &more).await?;
    team.service_is("looked at", |service| {
        let status = service.status.as_ref()?;
        (status.team == service.spec.team && status.observed_generation == service.metadata.generation).then_some(())
    })
    .await
}

/// Patches the workload as somebody else.
async fn patches(team: &Team<'_>, manager: &str, patch: Patch<Value>) -> Result<Value> {
    let api: Api<Deployment> = Api::namespaced(team.client.clone(), &team.namespace);
    let force = matches!(patch, Patch::Apply(_));
    let params = PatchParams { field_manager: Some(manager.to_owned()), force, ..PatchParams::default() };
    Ok(serde_json::to_value(api.patch(NAME, &params, &patch).await?)?)
}

/// Every verdict has this state.
fn all_are(service: &PlatformService, state: VerdictState) -> Option<()> {
    let defaults = &service.status.as_ref()?.defaults;
    (!defaults.is_empty() && defaults.iter().all(|default| default.state == state)).then_some(())
}

fn generation(object: &Value) -> i64 {
    object["metadata"]["generation"].as_i64().unwrap_or_default()
}

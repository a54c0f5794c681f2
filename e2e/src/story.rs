//! An application team at work: its namespace, its one workload, and its way to deploy it.

use std::fmt;

use anyhow::{Context, Result, ensure};
use goldenpath::api::{DefaultStatus, PlatformService, State, VerdictState, WorkloadKind, labels};
use goldenpath::plan::metadata::label;
use goldenpath::plan::rollout::waits_for;
use goldenpath::plan::service::template;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};

use crate::audit::{Counts, Mark};
use crate::space::{PATIENCE, Space};
use crate::{ControlPlane, wait};

/// Name of the workload, its service and its Helm release.
pub const NAME: &str = "web";

/// The API of workloads of one kind in one namespace.
#[must_use]
pub fn workloads(client: &Client, kind: WorkloadKind, namespace: &str) -> Api<DynamicObject> {
    let (group, version) = kind.api_version().split_once('/').unwrap_or_default();
    let kind_of = GroupVersionKind::gvk(group, version, &kind.to_string());
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind_of, kind.plural()))
}

/// A way to deploy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `kubectl apply`, client-side.
    Apply,
    /// `kubectl apply --server-side --field-manager=team`.
    ServerSide,
    /// `helm upgrade --install`.
    Helm,
    /// `kubectl create`, then `kubectl replace`.
    Replace,
    /// `kubectl create`, then GET, change, PUT, as an editor does.
    Edit,
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Apply, Self::ServerSide, Self::Helm, Self::Replace, Self::Edit];

    /// The field manager of what a deploy changes; the first one creates.
    #[must_use]
    pub fn manager(self) -> &'static str {
        match self {
            Self::Apply => "kubectl-client-side-apply",
            Self::ServerSide => "team",
            Self::Helm => "helm",
            Self::Replace => "kubectl-replace",
            Self::Edit => "kubectl-edit",
        }
    }

    /// The field manager of the first deploy.
    #[must_use]
    pub fn creator(self) -> &'static str {
        if matches!(self, Self::Replace | Self::Edit) { "kubectl-create" } else { self.manager() }
    }
}

/// One team.
pub struct Team<'a> {
    /// Where it lives.
    pub control_plane: &'a ControlPlane,
    /// An administrator's client.
    pub client: Client,
    /// Its namespace; nobody else is in it.
    pub namespace: String,
    /// Its way to deploy.
    pub style: Style,
    kind: WorkloadKind,
    deployed: Option<Value>,
}

impl fmt::Display for Team<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} team of {} {}", self.style, self.kind, self.namespace)
    }
}

impl<'a> Team<'a> {
    /// A team with a namespace and nothing in it yet.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn new(control_plane: &'a ControlPlane, style: Style, kind: WorkloadKind) -> Result<Self> {
        let namespace = control_plane.namespace("deployers").await?;
        Ok(Self { control_plane, client: control_plane.client().await?, namespace, style, kind, deployed: None })
    }

    /// Deploys a manifest and waits until it runs everywhere.
    ///
    /// # Errors
    /// When it is refused, or does not run in time.
    pub async fn rolls_out(&mut self, manifest: &Value) -> Result<Value> {
        self.deploys(manifest).await?;
        self.settled().await
    }

    /// Deploys a manifest.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn deploys(&mut self, manifest: &Value) -> Result<()> {
        let text = manifest.to_string();
        let first = self.deployed.is_none();
        match self.style {
            Style::Apply => self.kubectl(&["apply"], &text).await?,
            Style::ServerSide => self.kubectl(&["apply", "--server-side", "--field-manager=team"], &text).await?,
            Style::Replace | Style::Edit if first => self.kubectl(&["create"], &text).await?,
            Style::Replace => self.replaces(&text).await?,
            Style::Edit => self.edits(manifest).await?,
            Style::Helm => self.upgrades(&text).await?,
        }
        self.deployed = Some(manifest.clone());
        Ok(())
    }

    async fn kubectl(&self, words: &[&str], input: &str) -> Result<()> {
        let args = words.iter().copied().chain(["-n", &self.namespace, "-f", "-"]);
        self.control_plane.kubectl_stdin(args, input).await?;
        Ok(())
    }

    /// `kubectl replace` reads the version before it writes: a controller may write in between, and a person tries again.
    async fn replaces(&self, text: &str) -> Result<()> {
        wait::until(&format!("a replace of {self}"), PATIENCE, async || match self.kubectl(&["replace"], text).await {
            Err(error) if format!("{error:#}").contains("the object has been modified") => Ok(None),
            answer => Ok(Some(answer)),
        })
        .await?
    }

    async fn upgrades(&self, text: &str) -> Result<()> {
        let chart = self.control_plane.folder().join(format!("chart-{}", self.namespace));
        std::fs::create_dir_all(chart.join("templates"))?;
        std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 0.1.0\n")?;
        std::fs::write(chart.join("templates/workload.yaml"), text)?;
        let chart = chart.to_string_lossy();
        let answer = self.control_plane.helm(["upgrade", "--install", NAME, &chart, "-n", &self.namespace]).await?;
        ensure!(answer.contains("STATUS: deployed"), "{answer}");
        Ok(())
    }

    /// A controller may write between GET and PUT: then a person tries again, as `kubectl edit` says.
    async fn edits(&self, manifest: &Value) -> Result<()> {
        let params = PostParams { field_manager: Some(self.style.manager().to_owned()), ..PostParams::default() };
        let before = self.deployed.as_ref().unwrap_or(&Value::Null);
        let answer = wait::until(&format!("an edit of {self}"), PATIENCE, async || {
            let mut live = self.object().await?;
            edit(&mut live, before, manifest);
            let object: DynamicObject = serde_json::from_value(live)?;
            match workloads(&self.client, self.kind, &self.namespace).replace(NAME, &params, &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                answer => Ok(Some(answer)),
            }
        })
        .await?;
        answer.map(drop).map_err(Into::into)
    }

    /// The live workload.
    ///
    /// # Errors
    /// When there is none.
    pub async fn object(&self) -> Result<Value> {
        Ok(serde_json::to_value(workloads(&self.client, self.kind, &self.namespace).get(NAME).await?)?)
    }

    /// The live workload once it runs everywhere.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn settled(&self) -> Result<Value> {
        let settled = wait::until(&format!("{self} to be rolled out"), PATIENCE, async || {
            let object = self.object().await?;
            let waits = waits_for(self.kind, &object);
            ensure!(waits.is_none(), "{waits:?}: {}", object["status"]);
            Ok(Some(object))
        })
        .await;
        match settled {
            Err(error) => Err(error.context(self.pods().await?)),
            settled => settled,
        }
    }

    /// Why pods do not run, for the message of a failed wait.
    async fn pods(&self) -> Result<String> {
        let output = ["get", "pods,nodes", "-o", "wide", "-n", &self.namespace];
        self.control_plane.kubectl(output).await
    }

    /// Names of its ReplicaSets.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn replica_sets(&self) -> Result<Vec<String>> {
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut names: Vec<String> =
            sets.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
        names.sort();
        Ok(names)
    }

    /// Writes its PlatformService; `more` is merged into the spec.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn asks_for(&self, path: &str, more: &Value) -> Result<()> {
        let mut service = json!({
            "apiVersion": "goldenpath.dev/v1alpha1",
            "kind": "PlatformService",
            "metadata": {"name": NAME},
            "spec": {
                "goldenPathRef": {"name": path},
                "workloads": [{"name": "main", "ref": {"kind": self.kind, "name": NAME}}],
            },
        });
        if let (Some(spec), Some(more)) = (service["spec"].as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        self.kubectl(&["apply"], &service.to_string()).await
    }

    /// Takes a path and waits until the workload is labelled and the status says so.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn takes(&self, path: &str, more: &Value) -> Result<()> {
        self.asks_for(path, more).await?;
        self.service_is("Ready and evaluated", |service| {
            let status = service.status.as_ref()?;
            let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            (ready && status.observed_generation == service.metadata.generation && !status.defaults.is_empty())
                .then_some(())
        })
        .await?;
        ensure!(label(&self.object().await?, labels::PATH) == Some(path), "{self} is Ready and not labelled");
        Ok(())
    }

    /// Waits for something about its PlatformService.
    ///
    /// # Errors
    /// When it does not come in time: then with the status.
    pub async fn service_is<T>(&self, what: &str, found: impl Fn(&PlatformService) -> Option<T>) -> Result<T> {
        let services: Api<PlatformService> = Api::namespaced(self.client.clone(), &self.namespace);
        wait::until(&format!("service of {self} to be {what}"), PATIENCE, async || {
            let service = services.get(NAME).await?;
            let answer = found(&service);
            ensure!(answer.is_some(), "{}", json!(service.status));
            Ok(answer)
        })
        .await
    }

    /// Waits for a state with every verdict `Applied` and the whole score.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn is_adopted(&self) -> Result<()> {
        self.service_is("Adopted with all defaults applied", |service| {
            let status = service.status.as_ref()?;
            let adoption = status.adoption.as_ref()?;
            let whole = adoption.state == State::Adopted && adoption.score.as_deref() == Some("1.00");
            (whole && status.defaults.iter().all(|d| d.state == VerdictState::Applied)).then_some(())
        })
        .await
    }

    /// Waits for a verdict.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn verdict(&self, default: &str, state: VerdictState) -> Result<DefaultStatus> {
        self.service_is(&format!("{default} {state:?}"), |service| {
            let defaults = &service.status.as_ref()?.defaults;
            defaults.iter().find(|d| d.name == default && d.state == state).cloned()
        })
        .await
    }

    /// Waits for a condition of the service; `words` are its status or its reason. The answer is its reason and message.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn condition(&self, type_: &str, words: &str) -> Result<String> {
        self.service_is(&format!("{type_}: {words}"), |service| {
            let conditions = &service.status.as_ref()?.conditions;
            let found = conditions.iter().find(|c| c.type_ == type_ && (c.status == words || c.reason == words))?;
            Some(format!("{}: {}", found.reason, found.message))
        })
        .await
    }

    /// Waits for a label of the workload.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn is_labelled(&self, name: &str, value: Option<&str>) -> Result<Value> {
        wait::until(&format!("label {name} of {self} to be {value:?}"), PATIENCE, async || {
            let object = self.object().await?;
            ensure!(label(&object, name) == value, "{}", object["metadata"]["labels"]);
            Ok(Some(object))
        })
        .await
    }

    /// What the operator wrote in the namespace since a mark, without Events.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn operator_writes(&self, mark: Mark) -> Result<Counts> {
        self.space().operator_writes(mark)
    }

    /// See [`Space::still`].
    ///
    /// # Errors
    /// When the operator goes on writing.
    pub async fn still(&self) -> Result<()> {
        self.space().still().await
    }

    fn space(&self) -> Space<'_> {
        Space { control_plane: self.control_plane, namespace: self.namespace.clone() }
    }

    /// The pod spec of a workload.
    #[must_use]
    pub fn pod_spec<'o>(&self, object: &'o Value) -> &'o Value {
        &template(self.kind, object)["spec"]
    }

    /// Managers that own a field of the pod spec: `["containers", "app", "resources", "requests", "cpu"]`.
    ///
    /// # Errors
    /// When the object has no managedFields.
    pub fn owners(&self, object: &Value, field: &[&str]) -> Result<Vec<String>> {
        let entries = object["metadata"]["managedFields"].as_array().context("no managedFields")?;
        let mut path: Vec<String> =
            self.kind.template_path().iter().chain(&["spec"]).map(|n| format!("f:{n}")).collect();
        path.extend(field.iter().map(|n| format!("f:{n}")));
        if let Some(at) = path.iter().position(|n| n == "f:containers") {
            path[at + 1] = format!("k:{{\"name\":\"{}\"}}", field[1]);
        }
        let holds = |entry: &&Value| path.iter().try_fold(&entry["fieldsV1"], |at, name| at.get(name)).is_some();
        Ok(entries.iter().filter(holds).map(|e| e["manager"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

/// Does to `live` what a person does who turns `before` into `after`.
fn edit(live: &mut Value, before: &Value, after: &Value) {
    match (before, after) {
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.filter(|(_, (old, new))| old != new).for_each(|(i, (old, new))| edit(&mut live[i], old, new));
        }
        (Value::Object(old), Value::Object(new)) => {
            let nothing = Value::Object(Map::new());
            for name in old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name)) {
                let of = |all: &Map<String, Value>, other: &Map<String, Value>| {
                    all.get(name)
                        .cloned()
                        .unwrap_or_else(|| other[name].as_object().map_or(Value::Null, |_| nothing.clone()))
                };
                edit(&mut live[name], &of(old, new), &of(new, old));
                if let (Some(fields), false) = (live.as_object_mut(), new.contains_key(name)) {
                    fields.retain(|key, value| key != name || !(value.is_null() || *value == nothing));
                }
            }
        }
        (_, after) => *live = after.clone(),
    }
}

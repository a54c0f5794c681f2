//! Every request to the API server goes through here: with a deadline, counted, and named in its error.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, PartialObjectMeta, Request};
use kube::discovery::{Discovery, verbs};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::errors::Error;
use super::leadership::Leadership;
use crate::api::{WorkloadKind, labels};
use crate::observability::Metrics;
use crate::plan::consumers::Served;
use crate::plan::template::ObjectKey;

/// Deadline of one request. kube has none of its own: a silent server would hang a pass for ever.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// What changes something, and is for the leader alone. A dry run changes nothing.
const WRITES: [&str; 3] = ["create", "patch", "delete"];

/// Whether a write is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is.
    Real,
    /// The server does everything but keep it.
    DryRun,
}

/// The way to the API server.
#[derive(Clone)]
pub struct Requests {
    client: Client,
    metrics: Metrics,
    leadership: Leadership,
}

impl Requests {
    /// Over a client.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics, leadership: Leadership) -> Self {
        Self { client, metrics, leadership }
    }

    /// The client, for watches.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Whether this process may write.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    async fn call<T>(
        &self,
        verb: &'static str,
        what: String,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Error> {
        let request = std::pin::pin!(tokio::time::timeout(DEADLINE, request));
        let answer = if WRITES.contains(&verb) {
            self.leadership.writing(request).await.and_then(Result::ok)
        } else {
            request.await.ok()
        };
        let result = match answer {
            None => Err(Error::Timeout { verb, what, seconds: DEADLINE.as_secs() }),
            Some(Err(source)) => Err(Error::ApiServer { verb, what, source: Box::new(source) }),
            Some(Ok(value)) => Ok(value),
        };
        if let Some(lacking) = result.as_ref().err().and_then(Error::lacking) {
            tracing::error!(error = %lacking, "a right is missing");
            self.metrics.forbidden(lacking.verb, &lacking.resource());
        }
        let outcome = match &result {
            Ok(_) => "ok",
            Err(error) if error.is_status(404) => "not_found",
            Err(error) if error.is_status(409) => "conflict",
            Err(Error::Timeout { .. }) => "timeout",
            Err(error) if error.refusal().is_some() => "refused",
            Err(_) => "error",
        };
        self.metrics.api_request(verb, outcome);
        result
    }

    /// An object, or nothing where the server says that it does not exist.
    pub async fn get<K>(&self, api: &Api<K>, name: &str) -> Result<Option<K>, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        self.call("get", named::<K>(name), api.get_opt(name)).await
    }

    /// All objects with a label selector.
    pub async fn list<K>(&self, api: &Api<K>, selector: &str) -> Result<Vec<K>, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = ListParams::default().labels(selector);
        Ok(self.call("list", named::<K>("list"), api.list(&params)).await?.items)
    }

    /// What the API server has of all objects beside their content, as it is now.
    pub async fn list_metadata<K>(&self, api: &Api<K>) -> Result<Vec<PartialObjectMeta<K>>, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        Ok(self.call("list", named::<K>("list"), api.list_metadata(&ListParams::default())).await?.items)
    }

    /// Creates an object; one that is there already is fine, since its name says its content.
    pub async fn create<K>(&self, api: &Api<K>, object: &K) -> Result<(), Error>
    where
        K: Clone + DeserializeOwned + Debug + Serialize + Resource,
    {
        self.create_as(api, object, Write::Real).await
    }

    /// Whether the server would take a new object; one that is there already is fine.
    pub async fn try_create<K>(&self, api: &Api<K>, object: &K) -> Result<(), Error>
    where
        K: Clone + DeserializeOwned + Debug + Serialize + Resource,
    {
        self.create_as(api, object, Write::DryRun).await
    }

    async fn create_as<K>(&self, api: &Api<K>, object: &K, write: Write) -> Result<(), Error>
    where
        K: Clone + DeserializeOwned + Debug + Serialize + Resource,
    {
        let what = named::<K>(object.meta().name.as_deref().unwrap_or_default());
        let dry_run = write == Write::DryRun;
        let params = PostParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), dry_run };
        let verb = if dry_run { "dry_run" } else { "create" };
        match self.call(verb, what, api.create(&params, object)).await {
            Err(error) if error.is_status(409) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Some objects of a resource, with a field selector or without.
    pub async fn some(&self, resource: &Served, fields: &str, limit: u32) -> Result<Vec<Value>, Error> {
        let what = format!("some {resource}");
        let request = Request::new(resource.url()).list(&ListParams::default().fields(fields).limit(limit));
        self.items(what, request).await
    }

    /// Deletes an object; one that is gone already is fine.
    pub async fn delete<K>(&self, api: &Api<K>, name: &str) -> Result<(), Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let what = named::<K>(name);
        match self.call("delete", what, api.delete(name, &DeleteParams::default())).await {
            Err(error) if error.is_status(404) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Merges into an object.
    pub async fn merge<K>(&self, api: &Api<K>, name: &str, patch: &Value) -> Result<K, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = named::<K>(name);
        self.call("patch", what, api.patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Merges into a status.
    pub async fn merge_status<K>(&self, api: &Api<K>, name: &str, patch: &Value) -> Result<K, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = named::<K>(name);
        self.call("patch", what, api.patch_status(name, &params, &Patch::Merge(patch))).await
    }

    /// Server-side apply of a status.
    pub async fn apply_status<K>(&self, api: &Api<K>, name: &str, object: &Value) -> Result<K, Error>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams::apply(labels::FIELD_MANAGER).force();
        let what = named::<K>(name);
        self.call("patch", what, api.patch_status(name, &params, &Patch::Apply(object))).await
    }

    /// Every resource that the server serves, in every version.
    pub async fn served(&self) -> Result<Vec<Served>, Error> {
        let discovery = self.call("get", "the list of resources".to_owned(), async {
            Discovery::new(self.client.clone()).run_aggregated().await
        });
        let discovery = discovery.await?;
        let mut served = Vec::new();
        for group in discovery.groups() {
            for version in group.versions() {
                let preferred = version == group.preferred_version_or_latest();
                for (resource, can) in group.versioned_resources(version) {
                    let watchable = can.supports_operation(verbs::LIST) && can.supports_operation(verbs::WATCH);
                    let ApiResource { group, version, kind, plural, .. } = resource;
                    served.push(Served { group, version, plural, kind, watchable, preferred });
                }
            }
        }
        Ok(served)
    }

    /// A workload as the server has it: every field. With the version that a watch has shown the server may answer out of
    /// its cache, if that is as new: half the time of either side, without a question to etcd.
    pub async fn workload(
        &self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
        not_older_than: Option<u64>,
    ) -> Result<Option<Value>, Error> {
        let what = format!("{kind} {namespace}/{name}");
        let params = GetParams { resource_version: not_older_than.map(|version| version.to_string()) };
        let request = Request::new(workloads_url(kind, namespace)).get(name, &params);
        match self.call("get", what.clone(), self.send(request)).await {
            Err(error) if error.is_status(404) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Workloads of one kind with a label, at most `limit`, in one namespace or in all.
    pub async fn workloads(
        &self,
        kind: WorkloadKind,
        namespace: Option<&str>,
        selector: &str,
        limit: u32,
    ) -> Result<Vec<Value>, Error> {
        let what = format!("{kind}s with {selector}");
        let url = namespace.map_or_else(
            || format!("/apis/{}/{}", kind.api_version(), kind.plural()),
            |namespace| workloads_url(kind, namespace),
        );
        let request = Request::new(url).list(&ListParams::default().labels(selector).limit(limit));
        self.items(what, request).await
    }

    /// What a request for a list answers.
    async fn items(
        &self,
        what: String,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Vec<Value>, Error> {
        let mut list: Value = self.call("list", what, self.send(request)).await?;
        Ok(list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default())
    }

    /// Patches a workload.
    pub async fn patch_workload(
        &self,
        kind: WorkloadKind,
        namespace: &str,
        name: &str,
        patch: &Patch<Value>,
        write: Write,
    ) -> Result<Value, Error> {
        let what = format!("{kind} {namespace}/{name}");
        let params = PatchParams {
            field_manager: Some(labels::FIELD_MANAGER.to_owned()),
            dry_run: write == Write::DryRun,
            ..PatchParams::default()
        };
        let request = Request::new(workloads_url(kind, namespace)).patch(name, &params, patch);
        let verb = if write == Write::DryRun { "dry_run" } else { "patch" };
        self.call(verb, what.clone(), self.send(request)).await
    }

    /// An object that the operator makes, or may make, as the server has it.
    pub async fn object(&self, key: &ObjectKey) -> Result<Option<Value>, Error> {
        let request = Request::new(objects_url(key)).get(&key.name, &GetParams::default());
        match self.call("get", within(key), self.send(request)).await {
            Err(error) if error.is_status(404) => Ok(None),
            other => other.map(Some),
        }
    }

    /// Server-side apply of an object. With `force`, a value that another manager holds becomes ours.
    pub async fn apply_object(
        &self,
        key: &ObjectKey,
        object: &Value,
        force: bool,
        write: Write,
    ) -> Result<Value, Error> {
        let params =
            PatchParams { dry_run: write == Write::DryRun, force, ..PatchParams::apply(labels::FIELD_MANAGER) };
        let request = Request::new(objects_url(key)).patch(&key.name, &params, &Patch::Apply(object));
        let verb = if write == Write::DryRun { "dry_run" } else { "patch" };
        self.call(verb, within(key), self.send(request)).await
    }

    /// Server-side apply of what the fallback engine holds of a workload. A value that another manager holds is a conflict.
    pub async fn claim(&self, key: &ObjectKey, object: &Value, write: Write) -> Result<Value, Error> {
        let params = PatchParams { dry_run: write == Write::DryRun, ..PatchParams::apply(labels::FALLBACK_MANAGER) };
        let request = Request::new(objects_url(key)).patch(&key.name, &params, &Patch::Apply(object));
        let verb = if write == Write::DryRun { "dry_run" } else { "patch" };
        self.call(verb, within(key), self.send(request)).await
    }

    /// JSON patch of an object.
    pub async fn patch_object(&self, key: &ObjectKey, operations: Value) -> Result<Value, Error> {
        let what = within(key);
        let patch: Patch<Value> = Patch::Json(
            serde_json::from_value(operations).map_err(|source| Error::Serialisation { what: what.clone(), source })?,
        );
        let params = PatchParams { field_manager: Some(labels::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(objects_url(key)).patch(&key.name, &params, &patch);
        self.call("patch", what, self.send(request)).await
    }

    /// Deletes this very object, and with it what it owns; one that is gone already is fine.
    pub async fn delete_object(&self, key: &ObjectKey, uid: &str) -> Result<(), Error> {
        let params = DeleteParams::background()
            .preconditions(kube::api::Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let request = Request::new(objects_url(key)).delete(&key.name, &params);
        match self.call("delete", within(key), self.send(request)).await {
            Err(error) if error.is_status(404) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// What the server would make of a new workload. Unknown fields are refused.
    pub async fn dry_run_create(&self, kind: WorkloadKind, namespace: &str, object: &Value) -> Result<Value, Error> {
        let what = format!("{kind} {namespace}/probe");
        let body = serde_json::to_vec(object).map_err(|source| Error::Serialisation { what: what.clone(), source })?;
        let url = workloads_url(kind, namespace);
        let request = http::Request::post(format!("{url}?dryRun=All&fieldValidation=Strict"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(kube::core::request::Error::BuildRequest);
        self.call("dry_run", what.clone(), self.send(request)).await
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, kube::Error> {
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }
}

/// What an object is called in an error: kind and name.
fn named<K>(name: &str) -> String {
    let kind = std::any::type_name::<K>().rsplit("::").next().unwrap_or_default();
    format!("{} {name}", kind.trim_end_matches('>'))
}

fn within(key: &ObjectKey) -> String {
    format!("{} {}/{}", key.kind, key.namespace, key.name)
}

fn objects_url(key: &ObjectKey) -> String {
    let root = if key.api_version.contains('/') { "apis" } else { "api" };
    format!("/{root}/{}/namespaces/{}/{}", key.api_version, key.namespace, key.plural)
}

fn workloads_url(kind: WorkloadKind, namespace: &str) -> String {
    format!("/apis/{}/namespaces/{namespace}/{}", kind.api_version(), kind.plural())
}

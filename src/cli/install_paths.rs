//! `goldenpath install-paths`: brings the paths that come with the chart, and leaves alone what somebody has edited.
//!
//! The paths are no objects of the chart itself. Helm looks up every kind before it creates anything, so a chart cannot
//! bring definitions and objects of them in one step; and Helm would fight for what a person has edited, in an upgrade
//! and again in a rollback, which renders nothing.

use std::path::Path;
use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::deadline::{Failure, in_time};
use crate::api::{GoldenPath, labels};
use crate::plan::shipped::{Step, mark, step};

/// For how long the definitions may take to be served after they were created.
const SERVED: Duration = Duration::from_mins(2);
/// How often a path is looked at anew because somebody changed it at the same moment.
const ATTEMPTS: u32 = 5;

/// Why the paths could not be installed.
#[derive(thiserror::Error, Debug)]
pub enum InstallError {
    /// No configuration to reach a cluster with.
    #[error("no cluster: set KUBECONFIG, or run in a pod")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// The folder cannot be read.
    #[error("read {path}")]
    Read {
        /// File or folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else than a GoldenPath.
    #[error("{path} is no GoldenPath")]
    NoPath {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server refuses a request or does not answer.
    #[error("{verb} GoldenPath {name}")]
    ApiServer {
        /// What was tried.
        verb: &'static str,
        /// Name of the path.
        name: String,
        /// The answer.
        #[source]
        source: Failure,
    },
    /// The definitions are not there.
    #[error(
        "the API server does not serve GoldenPaths: are the CustomResourceDefinitions of goldenpath.dev installed?"
    )]
    NotServed,
    /// It changes faster than it can be read and written.
    #[error("GoldenPath {0} was changed by somebody else each time it was read")]
    Busy(String),
}

/// Installs every path of `folder` and says of each what was done.
pub async fn install(folder: &Path) -> Result<(), InstallError> {
    let paths = read(folder)?;
    let config = kube::Config::infer().await.map_err(InstallError::NoCluster)?;
    let client = Client::try_from(config).map_err(|source| failed("reach", "", Box::new(source).into()))?;
    let api = Api::all_with(client, &ApiResource::erase::<GoldenPath>(&()));
    for path in paths {
        let name = path.metadata.name.as_deref().unwrap_or_default();
        println!("{name}: {}", said(bring(&api, name, &path).await?));
    }
    Ok(())
}

fn said(step: Step) -> &'static str {
    match step {
        Step::Create => "created",
        Step::Update => "brought up to date",
        Step::Nothing => "up to date",
        Step::KeepEdited => "kept, because somebody has edited it",
        Step::KeepForeign => "kept, because it did not come from this chart",
    }
}

fn read(folder: &Path) -> Result<Vec<GoldenPath>, InstallError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| InstallError::Read { path, source }
    };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    let parse = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        golden_path(&text).map_err(|source| InstallError::NoPath { path: path.display().to_string(), source })
    };
    files.into_iter().map(parse).collect()
}

/// The kind is looked at first: without it any object with a `spec` could pass for a path without defaults.
fn golden_path(text: &str) -> Result<GoldenPath, Box<dyn std::error::Error + Send + Sync>> {
    let object: Value = serde_saphyr::from_str(text)?;
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind != "GoldenPath" {
        return Err(format!("its kind is {kind:?}").into());
    }
    Ok(serde_json::from_value(object)?)
}

/// Looks and acts, again when somebody wrote in between.
///
/// The live path is taken as it stands: what this program cannot read is an edit, too.
async fn bring(api: &Api<DynamicObject>, name: &str, path: &GoldenPath) -> Result<Step, InstallError> {
    let shipped = json!({"spec": path.spec});
    for _ in 0..ATTEMPTS {
        let live = live(api, name).await?;
        let value = live.as_ref().map(|live| json!({"metadata": live.metadata, "spec": live.data["spec"]}));
        let step = step(value.as_ref(), &shipped);
        let params =
            PostParams { field_manager: Some(labels::PATHS_FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let written = match (step, live) {
            (Step::Create, _) => {
                let mut object = DynamicObject::new(name, &ApiResource::erase::<GoldenPath>(&()));
                object.metadata = path.metadata.clone();
                within("create", name, api.create(&params, &made_of(object, &shipped))).await
            }
            // with the resourceVersion that was read, so that an edit in between is refused and not lost
            (Step::Update, Some(live)) => {
                within("update", name, api.replace(name, &params, &made_of(live, &shipped))).await
            }
            (step, _) => return Ok(step),
        };
        match written {
            Ok(_) => return Ok(step),
            Err(InstallError::ApiServer { source, .. }) if source.is_status(409) => {}
            Err(error) => return Err(error),
        }
    }
    Err(InstallError::Busy(name.to_owned()))
}

/// The object with the shipped spec and its mark; its status is the operator's.
fn made_of(mut object: DynamicObject, shipped: &Value) -> DynamicObject {
    object.data = shipped.clone();
    object.annotations_mut().insert(labels::SHIPPED.to_owned(), mark(&shipped["spec"]));
    object
}

/// The path as it stands; waits until the kind is served, since the definitions may be a moment old.
async fn live(api: &Api<DynamicObject>, name: &str) -> Result<Option<DynamicObject>, InstallError> {
    let started = Instant::now();
    loop {
        match within("get", name, api.get(name)).await {
            Ok(live) => return Ok(Some(live)),
            Err(InstallError::ApiServer { source, .. }) if source.is_status(404) => {
                // only the 404 of a kind that is served names the object
                if matches!(&source, Failure::Kube(error) if names(error, name)) {
                    return Ok(None);
                }
                if started.elapsed() > SERVED {
                    return Err(InstallError::NotServed);
                }
            }
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(500)).await;
    }
}

fn names(error: &kube::Error, name: &str) -> bool {
    matches!(error, kube::Error::Api(status) if status.details.as_ref().is_some_and(|details| details.name == name))
}

fn failed(verb: &'static str, name: &str, source: Failure) -> InstallError {
    InstallError::ApiServer { verb, name: name.to_owned(), source }
}

async fn within<T>(
    verb: &'static str,
    name: &str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, InstallError> {
    in_time(request).await.map_err(|source| failed(verb, name, source))
}

//! Every workload of the corpus, and some that everybody knows, made anew on its path as a dry run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use goldenpath::api::{WorkloadKind, labels};
use goldenpath::plan::gaps::{filled, gaps, normalise};
use goldenpath::plan::revision::Revision;
use goldenpath::plan::service::template;
use goldenpath_e2e::{ControlPlane, corpus, story};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// What everybody runs, as people first write it, so that a checkout without a corpus tries something, too.
const KNOWN: &str = include_str!("known.yaml");

/// Creates each workload twice as a dry run: as it is, and with the label of its path's revision. What the API server
/// accepts as it is, it must accept with the label, and fill what the pure function says.
pub async fn nothing_is_refused(control_plane: &ControlPlane, revisions: &BTreeMap<WorkloadKind, String>) {
    let client = control_plane.client().await.unwrap();
    let mut kept = BTreeMap::new();
    for (kind, name) in revisions {
        let api: Api<ControllerRevision> = Api::namespaced(client.clone(), labels::DEFAULT_NAMESPACE);
        let data = api.get(name).await.unwrap().data.unwrap().0;
        kept.insert(*kind, serde_json::from_value::<Revision>(data).unwrap());
    }
    let files = corpus().unwrap();
    println!("{} files of the corpus beside what everybody knows", files.len());
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(KNOWN).unwrap();
    documents.extend(files.into_iter().flat_map(|file| file.documents));
    let workloads: Vec<(WorkloadKind, Value)> = documents
        .into_iter()
        .filter_map(|document| Some((serde_json::from_value(document["kind"].clone()).ok()?, document)))
        .filter(|(_, document)| document["metadata"]["namespace"] != "kube-system")
        .collect();
    let namespaces: BTreeSet<&str> = workloads.iter().map(|(_, document)| namespace(document)).collect();
    let missing = namespaces.iter().filter(|name| **name != "default");
    let list: Vec<Value> =
        missing.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).collect();
    control_plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": list}).to_string()).await.unwrap();

    let tried = workloads.iter().map(|(kind, document)| made(&client, *kind, document, &kept[kind]));
    let outcomes: Vec<Result<Option<bool>>> = futures::stream::iter(tried).buffer_unordered(AT_A_TIME).collect().await;
    let count = |wanted: Option<bool>| outcomes.iter().filter(|o| o.as_ref().ok() == Some(&wanted)).count();
    println!(
        "{} workloads: {} filled, {} with nothing to fill, {} refused as they are",
        workloads.len(),
        count(Some(true)),
        count(Some(false)),
        count(None)
    );
    let wrong: Vec<String> = outcomes.iter().filter_map(|o| o.as_ref().err().map(|e| format!("{e:#}"))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(count(Some(true)), workloads.len(), "every one of them leaves something open");
}

/// Whether something was filled; nothing when the workload is refused without us, too.
async fn made(client: &Client, kind: WorkloadKind, document: &Value, revision: &Revision) -> Result<Option<bool>> {
    let create = async |label: &str| {
        let mut object: DynamicObject = serde_json::from_value(document.clone())?;
        // nothing is stored, so one free name does for all
        object.metadata.name = Some("tried".to_owned());
        object.metadata.labels.get_or_insert_default().insert(labels::REVISION.to_owned(), label.to_owned());
        let params = PostParams { dry_run: true, field_manager: Some("team".to_owned()) };
        let created = story::workloads(client, kind, namespace(document)).create(&params, &object).await;
        Ok::<_, anyhow::Error>(created.map(serde_json::to_value))
    };
    let bare = match create("nobody").await? {
        Ok(bare) => bare?,
        Err(kube::Error::Api(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let what = || format!("{kind} {}/{}", namespace(document), document["metadata"]["name"]);
    let made = create(&revision.name).await?.with_context(|| format!("{} is refused on its path", what()))??;
    let normal = |object: &Value| {
        let mut template = template(kind, object).clone();
        normalise(&mut template);
        template
    };
    let expected = filled(kind, &bare, &gaps(kind, &bare, &revision.road));
    let made = normal(&made);
    ensure!(made == expected, "{}: {}", what(), json!(json_patch::diff(&expected, &made)));
    Ok(Some(made != normal(&bare)))
}

fn namespace(document: &Value) -> &str {
    document["metadata"]["namespace"].as_str().unwrap_or("default")
}

//! The samples of `manifests/samples`: what the API server takes, what it refuses, and with which words.

mod needed;

use std::collections::BTreeSet;

use goldenpath::api::crds::all;
use goldenpath::api::{Deprecation, DeprecationSpec, DeprecationStage, GoldenPath, PlatformService, ResourceRule};
use goldenpath::plan::consumers::resolve::Served;
use goldenpath::plan::deprecation::{Facts, Step, advance};
use goldenpath::plan::revision::Revision;
use goldenpath::policy::{Feedback, Targets, deprecation};
use goldenpath_e2e::programs::repository;
use goldenpath_e2e::{ControlPlane, road};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::Status;
use kube::core::response::StatusCause;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One file.
struct Sample {
    name: String,
    text: String,
    object: Value,
}

/// The samples of a folder; there must be some, each one object and nothing else.
fn samples(folder: &str) -> Vec<Sample> {
    let folder = repository().join("manifests/samples").join(folder);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.ends_with(".yaml"), "{name} is no YAML file");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(objects.len(), 1, "{name} holds not one object");
        Sample { name, text, object: objects.remove(0) }
    };
    paths.into_iter().map(read).collect()
}

async fn prepared(prefix: &str) -> (Client, String) {
    let control_plane = ControlPlane::shared().await.unwrap();
    control_plane.install_goldenpath().await.unwrap();
    (control_plane.client().await.unwrap(), control_plane.namespace(prefix).await.unwrap())
}

/// What `kubectl create --dry-run=server --validate=strict` sends: the file as it is, so that no reader of YAML but the
/// API server's own has a say.
async fn create(client: &Client, namespace: &str, sample: &Sample) -> Result<Value, Box<Status>> {
    let collection = match sample.object["kind"].as_str() {
        Some("Deprecation") => "deprecations".to_owned(),
        Some("GoldenPath") => "goldenpaths".to_owned(),
        Some("PlatformService") => format!("namespaces/{namespace}/platformservices"),
        kind => panic!("{} is a sample of {kind:?}", sample.name),
    };
    let uri = format!("/apis/goldenpath.dev/v1alpha1/{collection}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(uri).header("Content-Type", "application/yaml");
    match client.request(request.body(sample.text.clone().into_bytes()).unwrap()).await {
        Ok(stored) => Ok(stored),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{}: {error}", sample.name),
    }
}

fn causes(status: &Status) -> &[StatusCause] {
    status.details.as_ref().map_or(&[], |details| &details.causes)
}

/// A field path without positions: `spec.defaults[1].name` is `spec.defaults.name`.
fn without_positions(field: &str) -> String {
    field.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

#[tokio::test]
async fn valid_samples_are_stored_as_our_types_write_them() {
    let (client, namespace) = prepared("valid").await;
    for sample in samples("valid") {
        let stored = create(&client, &namespace, &sample).await;
        let stored = stored.unwrap_or_else(|status| panic!("{} is refused: {}", sample.name, status.message));
        let written = match sample.object["kind"].as_str() {
            Some("Deprecation") => rewritten::<Deprecation>(&stored),
            Some("GoldenPath") => rewritten::<GoldenPath>(&stored),
            _ => rewritten::<PlatformService>(&stored),
        };
        let written = written.unwrap_or_else(|error| panic!("{} cannot be read: {error}", sample.name));
        for part in ["apiVersion", "kind", "spec"] {
            assert_eq!(written[part], stored[part], "{part} of {}", sample.name);
        }
    }
}

/// What our types make of an object.
fn rewritten<K: DeserializeOwned + Serialize>(stored: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(K::deserialize(stored)?)
}

#[tokio::test]
async fn the_policies_of_valid_deprecations_are_accepted_by_the_api_server() {
    let (client, namespace) = prepared("deprecations").await;
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
    let dry_run = PostParams { dry_run: true, field_manager: None };
    let mut tried = 0;
    for sample in samples("valid").iter().filter(|sample| sample.object["kind"] == "Deprecation") {
        let stored = create(&client, &namespace, sample).await.unwrap();
        let spec = Deprecation::deserialize(stored).unwrap().spec;
        for compiled in compiled(&spec) {
            let made = policies.create(&dry_run, &compiled.policy).await;
            made.unwrap_or_else(|error| panic!("{}: {error}", sample.name));
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

/// Every policy of a Deprecation, in each stage and in each of its brownouts. Each resource is taken for one that is
/// served in the first version of its rule.
fn compiled(spec: &DeprecationSpec) -> Vec<Feedback> {
    let mut targets = Targets::new();
    for entry in &spec.matches {
        let of_rule = |rule: &ResourceRule| -> Vec<Served> {
            let version = rule.api_versions.first().cloned().unwrap_or_else(|| "v1".to_owned());
            let resources = rule.api_groups.iter().flat_map(|group| rule.resources.iter().map(move |r| (group, r)));
            let served = |(group, plural): (&String, &String)| Served {
                group: group.clone(),
                version: version.clone(),
                plural: plural.clone(),
                ..Served::default()
            };
            resources.map(served).collect()
        };
        targets.insert(entry.name.clone(), entry.resource_rules.iter().flat_map(of_rule).collect());
    }
    let stages = [DeprecationStage::Warning, DeprecationStage::CreateBlocked, DeprecationStage::UpdateBlocked];
    let now = Timestamp::from_second(0).unwrap();
    let of_stage = |stage| {
        let first = advance(spec, now, None, &Facts::default(), now);
        let noticed = spec.matches.iter().map(|entry| entry.name.clone()).collect();
        let brownouts = spec.brownouts.iter().map(|brownout| brownout.name.clone()).collect();
        let step = Step { stage, noticed, brownouts, ..first };
        deprecation("sample", spec, &step, &targets, &road::operator(), now).unwrap()
    };
    stages.into_iter().flat_map(of_stage).collect()
}

#[tokio::test]
async fn values_of_valid_paths_are_accepted_by_the_api_server() {
    let (client, namespace) = prepared("paths").await;
    let mut tried = 0;
    for sample in samples("valid").iter().filter(|sample| sample.object["kind"] == "GoldenPath") {
        let stored = create(&client, &namespace, sample).await.unwrap();
        let path: GoldenPath = serde_json::from_value(stored).unwrap();
        if path.spec.stage.adoptable() {
            let revision = Revision::draft(&path).unwrap_or_else(|error| panic!("{}: {error}", sample.name));
            let canonical = road::canonical(&client, &namespace, &revision.road).await;
            canonical.unwrap_or_else(|error| panic!("{}: {error:#}", sample.name));
            tried += 1;
        }
    }
    assert!(tried > 0);
}

#[tokio::test]
async fn invalid_samples_are_refused_with_the_words_of_their_first_line() {
    let (client, namespace) = prepared("invalid").await;
    let mut findings = Vec::new();
    for sample in samples("invalid") {
        let expected = sample.text.lines().next().and_then(|line| line.strip_prefix("# refused: "));
        let expected = expected.unwrap_or_else(|| panic!("{} does not begin with `# refused: `", sample.name));
        match create(&client, &namespace, &sample).await {
            Ok(_) => findings.push(format!("{} is accepted", sample.name)),
            Err(status) if !status.message.contains(expected) => {
                findings.push(format!("{} is refused with: {}", sample.name, status.message));
            }
            Err(status) => {
                // A second mistake in a sample would hide that the first one is no longer refused.
                let fields = causes(&status).iter().filter(|cause| cause.field != "<nil>");
                let fields: BTreeSet<_> = fields.map(|cause| without_positions(&cause.field)).collect();
                if fields.len() > 1 {
                    findings.push(format!("{} is wrong in more than one field: {fields:?}", sample.name));
                }
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// The fields with a limit in a schema, each with words of the API server when the limit is broken.
fn limits(schema: &JSONSchemaProps, path: &str, found: &mut Vec<(String, String)>) {
    let words = [
        (schema.enum_.is_some(), "Unsupported value"),
        (schema.pattern.is_some(), "should match"),
        (schema.max_length.is_some(), "Too long"),
        (schema.min_length.is_some(), "should be at least"),
        (schema.max_items.is_some(), "Too many"),
        (schema.min_items.is_some(), "should have at least"),
        (schema.min_properties.is_some(), "should have at least"),
        (schema.maximum.is_some(), "less than or equal to"),
        (schema.minimum.is_some(), "greater than or equal to"),
        (schema.x_kubernetes_list_type.as_ref().is_some_and(|of| of != "atomic"), "Duplicate value"),
    ];
    let broken = words.into_iter().filter(|(limited, _)| *limited);
    found.extend(broken.map(|(_, words)| (path.to_owned(), words.to_owned())));
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        let expression = rule.message_expression.as_deref().and_then(|text| text.split('\'').nth(1));
        let words = rule.message.as_deref().or(expression).unwrap_or(&rule.rule).trim();
        found.push((if path.is_empty() { "<nil>" } else { path }.to_owned(), words.to_owned()));
    }
    let below = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    found.extend(schema.required.iter().flatten().map(|name| (below(name), "Required value".to_owned())));
    for (name, property) in schema.properties.iter().flatten().filter(|(name, _)| *name != "status") {
        limits(property, &below(name), found);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        limits(items, path, found);
    }
}

#[tokio::test]
async fn every_limit_of_a_spec_is_broken_by_a_sample() {
    let (client, namespace) = prepared("limits").await;
    let mut seen = Vec::new();
    for sample in samples("invalid") {
        let kind = sample.object["kind"].as_str().unwrap().to_owned();
        let Err(status) = create(&client, &namespace, &sample).await else {
            continue;
        };
        seen.extend(
            causes(&status).iter().map(|cause| (kind.clone(), without_positions(&cause.field), cause.message.clone())),
        );
    }
    let mut missing = Vec::new();
    for crd in all() {
        let mut found = Vec::new();
        let version = crd.spec.versions.first().unwrap();
        limits(version.schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap(), "", &mut found);
        assert!(found.len() > 10, "{found:?}");
        let kind = crd.spec.names.kind;
        let broken = |path: &str, words: &str| {
            seen.iter().any(|(k, field, message)| *k == kind && field == path && message.contains(words))
        };
        missing.extend(
            found
                .iter()
                .filter(|(path, words)| !broken(path, words))
                .map(|(path, words)| format!("{kind} {path}: {words}")),
        );
    }
    assert!(missing.is_empty(), "no file in manifests/samples/invalid is refused for:\n{}", missing.join("\n"));
}

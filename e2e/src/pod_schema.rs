//! The table `src/plan/pod_schema.json` as a running API server tells it.
//!
//! Types, list keys and atomicity stand in the server's OpenAPI. Two facts do not, and are observed by dry-run creates of
//! a Deployment: which fields come back although nobody sent them (`defaulted`), and which structs the server refuses or
//! drops when they are empty (`whole`: such a struct is filled whole or not at all).

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use http::Request;
use kube::Client;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::control_plane::ControlPlane;
use crate::road;

/// Prefix of the names of all types that a pod is made of, in OpenAPI.
const CORE: &str = "io.k8s.api.core.v1.";

#[derive(Serialize)]
struct Table {
    kubernetes: String,
    types: BTreeMap<String, BTreeMap<String, Field>>,
}

/// One field of a type. Exactly one of scalar, struct, list and map says what it is.
#[derive(Serialize, Default)]
struct Field {
    #[serde(skip_serializing_if = "Option::is_none")]
    scalar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#struct: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list: Option<String>,
    /// Fields that identify an entry of the list; none for an atomic one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    /// Type of the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    whole: bool,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defaulted: Option<Value>,
    #[serde(skip_serializing_if = "is_false")]
    required: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A place in a pod: what dry runs put a struct into.
#[derive(Clone)]
struct At {
    in_container: bool,
    path: Vec<String>,
}

impl At {
    fn child(&self, field: &str) -> Self {
        let mut path = self.path.clone();
        path.push(field.to_owned());
        Self { path, ..*self }
    }

    /// The smallest Deployment that has an empty struct here.
    fn deployment(&self) -> Value {
        let wrap = |inner, field: &String| json!({ field.as_str(): inner });
        let put = self.path.iter().rev().fold(json!({}), wrap);
        let mut spec = json!({});
        let mut container = json!({});
        *(if self.in_container { &mut container } else { &mut spec }) = put;
        container["name"] = json!("a");
        container["image"] = json!("i");
        spec["containers"] = json!([container]);
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "probe"},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec},
            },
        })
    }

    /// What stands here in the answer to such a Deployment.
    fn find<'a>(&self, answer: &'a Value) -> Option<&'a Value> {
        let root = if self.in_container { "/spec/template/spec/containers/0" } else { "/spec/template/spec" };
        self.path.iter().try_fold(answer.pointer(root)?, |value, field| value.get(field))
    }
}

/// The table in the form of the file: pretty JSON in a stable order, with a newline at the end.
///
/// # Errors
/// When the API server cannot be asked, or answers with something else than the schemas of a pod.
pub async fn generate(control_plane: &ControlPlane) -> Result<String> {
    let server = Server::new(control_plane).await?;
    let kubernetes = server.client.apiserver_version().await?.git_version;
    let mut types = BTreeMap::new();
    for (root, in_container) in [("PodSpec", false), ("Container", true)] {
        let mut pending = vec![(root.to_owned(), At { in_container, path: Vec::new() })];
        while let Some((name, at)) = pending.pop() {
            if types.contains_key(&name) {
                continue;
            }
            let fields = server.fields(&name, &at).await.with_context(|| format!("read the type {name}"))?;
            // Popped from the end: the first of the fields is the next to be read.
            pending.extend(
                fields
                    .iter()
                    .rev()
                    .filter(|(_, field)| !field.whole)
                    .filter_map(|(field, found)| Some((found.r#struct.clone()?, at.child(field)))),
            );
            types.insert(name, fields);
        }
    }
    Ok(serde_json::to_string_pretty(&Table { kubernetes, types })? + "\n")
}

struct Server {
    client: Client,
    namespace: String,
    schemas: Map<String, Value>,
}

impl Server {
    async fn new(control_plane: &ControlPlane) -> Result<Self> {
        let client = control_plane.client().await?;
        let namespace = control_plane.namespace("pod-schema").await?;
        let request = Request::get("/openapi/v3/apis/apps/v1").body(Vec::new())?;
        let mut document: Value = client.request(request).await.context("GET the OpenAPI of apps/v1")?;
        match document.pointer_mut("/components/schemas").map(Value::take) {
            Some(Value::Object(schemas)) => Ok(Self { client, namespace, schemas }),
            _ => anyhow::bail!("the OpenAPI of apps/v1 has no components.schemas"),
        }
    }

    /// The answer to a dry-run create, or `None` when the API server refuses the object as invalid.
    async fn dry_run(&self, deployment: &Value) -> Result<Option<Value>> {
        match road::dry_run(&self.client, &self.namespace, deployment).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.downcast_ref() {
                Some(kube::Error::Api(status)) if status.is_invalid() => Ok(None),
                _ => Err(error).with_context(|| format!("dry-run create of {deployment}")),
            },
        }
    }

    /// The fields of a type, seen at a place where the type stands.
    async fn fields(&self, name: &str, at: &At) -> Result<BTreeMap<String, Field>> {
        let answer = self.dry_run(&at.deployment()).await?.context("the API server refuses it empty")?;
        let sent = |field: &str| match name {
            "PodSpec" => field == "containers",
            "Container" => matches!(field, "name" | "image"),
            _ => false,
        };
        let mut fields = BTreeMap::new();
        for (field, schema) in self.properties(name)? {
            let mut found = self.classify(schema)?;
            if !sent(field) {
                found.defaulted = at.find(&answer).and_then(|value| value.get(field)).cloned();
            } else if name == "Container" {
                found.required = true;
            }
            if found.r#struct.is_some() && !found.whole {
                let below = at.child(field);
                let answer = self.dry_run(&below.deployment()).await?;
                found.whole = answer.is_none_or(|answer| below.find(&answer).is_none());
            }
            fields.insert(field.clone(), found);
        }
        Ok(fields)
    }

    fn properties(&self, name: &str) -> Result<&Map<String, Value>> {
        let schema = self.schemas.get(&format!("{CORE}{name}"));
        schema
            .and_then(|schema| schema["properties"].as_object())
            .with_context(|| format!("OpenAPI has no fields of {name}"))
    }

    /// What OpenAPI alone says about a field.
    fn classify(&self, schema: &Value) -> Result<Field> {
        let mut field = Field { values: strings(&schema["enum"]), ..Field::default() };
        let atomic = |schema: &Value| schema["x-kubernetes-map-type"] == "atomic";
        match (schema["type"].as_str(), reference(schema)) {
            (Some("array"), _) => {
                field.list = Some(type_name(&schema["items"])?);
                if schema["x-kubernetes-list-type"] == "map" {
                    field.keys = strings(&schema["x-kubernetes-list-map-keys"]);
                }
            }
            (Some("object"), _) => {
                field.map = Some(type_name(&schema["additionalProperties"])?);
                field.whole = atomic(schema);
            }
            (_, Some(full)) if !matches!(short(full), "Quantity" | "IntOrString") => {
                ensure!(full.starts_with(CORE), "{full} is no type of core/v1");
                let target = self.schemas.get(full).with_context(|| format!("OpenAPI has no {full}"))?;
                field.r#struct = Some(short(full).to_owned());
                let members = target["properties"].as_object().is_some_and(|properties| !properties.is_empty());
                let union = target.get("x-kubernetes-unions").is_some();
                field.whole = atomic(schema) || atomic(target) || union || !members;
            }
            _ => field.scalar = Some(type_name(schema)?),
        }
        Ok(field)
    }
}

/// The type that a schema refers to, also in the form `allOf: [$ref]` that OpenAPI v3 uses beside a default.
fn reference(schema: &Value) -> Option<&str> {
    let all_of = schema["allOf"].as_array().into_iter().flatten();
    let text = std::iter::once(schema).chain(all_of).find_map(|schema| schema["$ref"].as_str())?;
    text.rsplit('/').next()
}

fn short(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// Name of a type as the table has it: `quantity` and `intOrString` are scalars for whoever fills them.
fn type_name(schema: &Value) -> Result<String> {
    let name = match reference(schema).map(short) {
        Some("Quantity") => "quantity",
        Some("IntOrString") => "intOrString",
        Some(other) => other,
        None => schema["type"].as_str().with_context(|| format!("neither a type nor a reference: {schema}"))?,
    };
    Ok(name.to_owned())
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_an_empty_struct_at_its_place() {
        let at = At { in_container: true, path: Vec::new() }.child("securityContext").child("capabilities");
        let deployment = at.deployment();
        assert_eq!(
            deployment.pointer("/spec/template/spec/containers"),
            Some(&json!([{"name": "a", "image": "i", "securityContext": {"capabilities": {}}}]))
        );
        assert_eq!(at.find(&deployment), Some(&json!({})));
    }

    #[test]
    fn reference_is_read_from_both_forms() {
        assert_eq!(reference(&json!({"$ref": "#/components/schemas/a.B"})), Some("a.B"));
        assert_eq!(reference(&json!({"default": {}, "allOf": [{"$ref": "#/components/schemas/a.C"}]})), Some("a.C"));
        assert_eq!(reference(&json!({"type": "string"})), None);
    }
}

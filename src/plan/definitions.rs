//! Whether the API server has the definitions (CRDs) that this program was built with: what they lack it would drop from every
//! status and every answer, in silence.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// So many fields are named; whoever applies the definitions mends the others with them.
const NAMED: usize = 3;

/// What to do, in the words of whoever can.
const FIX: &str = concat!(
    "apply crds/ of version ",
    env!("CARGO_PKG_VERSION"),
    ": kubectl apply --server-side --force-conflicts -f crds/"
);

/// What the API server says of one version of a group: `/openapi/v3/apis/<group>/<version>`, as far as it is compared.
#[derive(Debug, Default, Deserialize)]
pub struct Served {
    #[serde(default)]
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<String, ServedSchema>,
}

#[derive(Debug, Deserialize)]
struct ServedSchema {
    #[serde(default, rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<Kind>,
    #[serde(flatten)]
    fields: Schema,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: String,
}

/// The fields of a schema, without what is said of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    properties: BTreeMap<String, Schema>,
    items: Option<Box<Schema>>,
    additional_properties: Option<Values>,
}

/// What a map holds: a schema, or whether anything.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    Any(#[expect(dead_code, reason = "only that it is no schema counts")] bool),
    Of(Box<Schema>),
}

impl Schema {
    fn values(&self) -> Option<&Self> {
        match &self.additional_properties {
            Some(Values::Of(schema)) => Some(schema),
            Some(Values::Any(_)) | None => None,
        }
    }
}

/// What a definition needs of the API server: a kind and its fields.
#[derive(Debug)]
pub struct Needed {
    /// Such as GoldenPath.
    pub kind: String,
    /// Its fields.
    pub schema: Schema,
}

impl Needed {
    /// Of the schema of a version of a definition.
    pub fn new(kind: &str, schema: Value) -> Result<Self, serde_json::Error> {
        Ok(Self { kind: kind.to_owned(), schema: serde_json::from_value(schema)? })
    }
}

/// What is wrong and what to do, for whoever reads `/readyz`; nothing when all is there. Definitions with more than we know
/// are well: a newer operator was here.
#[must_use]
pub fn wrong(needed: &[Needed], served: &Served) -> Option<String> {
    let schema_of = |kind: &str| {
        served
            .components
            .schemas
            .values()
            .find(|schema| schema.kinds.iter().any(|of| of.kind == kind))
            .map(|s| &s.fields)
    };
    let absent: Vec<&str> =
        needed.iter().map(|needed| needed.kind.as_str()).filter(|kind| schema_of(kind).is_none()).collect();
    if !absent.is_empty() {
        return Some(format!("the API server does not serve {}; {FIX}", absent.join(", ")));
    }
    let mut lacking = Vec::new();
    for Needed { kind, schema } in needed {
        if let Some(served) = schema_of(kind) {
            lacks(schema, served, kind, &mut lacking);
        }
    }
    let more = match lacking.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    lacking.truncate(NAMED);
    let named = lacking.join(", ");
    (!named.is_empty()).then(|| format!("the definitions are older than this operator and lack {named}{more}; {FIX}"))
}

fn lacks(ours: &Schema, served: &Schema, path: &str, lacking: &mut Vec<String>) {
    for (name, field) in &ours.properties {
        let path = format!("{path}.{name}");
        // the API server adds these to each kind, with types of their own
        if name == "metadata" {
            continue;
        }
        match served.properties.get(name) {
            Some(served) => lacks(field, served, &path, lacking),
            None => lacking.push(path),
        }
    }
    for (ours, served, part) in
        [(ours.items.as_deref(), served.items.as_deref(), "[]"), (ours.values(), served.values(), "{}")]
    {
        if let (Some(ours), Some(served)) = (ours, served) {
            lacks(ours, served, &format!("{path}{part}"), lacking);
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn ours() -> Value {
        json!({
            "type": "object",
            "properties": {
                "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
                "spec": {"type": "object", "properties": {
                    "waves": {"type": "array", "items": {"type": "object", "properties": {"soak": {}, "percent": {}}}},
                    "labels": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {}}}},
                    "anything": {"type": "object", "additionalProperties": true},
                }},
            },
        })
    }

    fn served(schema: Value) -> Served {
        let mut schema = schema;
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "goldenpath.dev", "kind": "GoldenPath", "version": "v1alpha1"}]);
        let schemas = json!({"dev.goldenpath.v1alpha1.GoldenPath": schema, "DeleteOptions": {"type": "object"}});
        serde_json::from_value(json!({"components": {"schemas": schemas}})).unwrap()
    }

    fn without(pointer: &str) -> Value {
        let mut schema = ours();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        schema.pointer_mut(parent).and_then(Value::as_object_mut).and_then(|map| map.remove(field)).unwrap();
        schema
    }

    #[rstest]
    #[case::all_is_there(ours(), None)]
    #[case::metadata_is_the_servers(without("/properties/metadata/properties"), None)]
    #[case::a_branch(without("/properties/spec"), Some("GoldenPath.spec"))]
    #[case::of_a_list(
        without("/properties/spec/properties/waves/items/properties/soak"),
        Some("GoldenPath.spec.waves[].soak")
    )]
    #[case::of_a_map(
        without("/properties/spec/properties/labels/additionalProperties/properties/a"),
        Some("GoldenPath.spec.labels{}.a")
    )]
    fn what_the_server_would_drop_is_named(#[case] schema: Value, #[case] lacks: Option<&str>) {
        let needed = [Needed::new("GoldenPath", ours()).unwrap()];
        let expected =
            lacks.map(|field| format!("the definitions are older than this operator and lack {field}; {FIX}"));
        assert_eq!(wrong(&needed, &served(schema)), expected);
    }

    #[test]
    fn kinds_that_are_not_served_come_first_and_long_lists_are_cut() {
        let needed = ["GoldenPath", "Deprecation"].map(|kind| Needed::new(kind, ours()).unwrap());
        let absent = |kinds| Some(format!("the API server does not serve {kinds}; {FIX}"));
        assert_eq!(wrong(&needed, &served(ours())), absent("Deprecation"));
        assert_eq!(wrong(&needed, &Served::default()), absent("GoldenPath, Deprecation"));
        let many = json!({"properties": {"a": {}, "b": {}, "c": {}, "d": {}, "e": {}}});
        let needed = [Needed::new("GoldenPath", many).unwrap()];
        let text = wrong(&needed, &served(json!({}))).unwrap();
        assert!(text.contains("GoldenPath.a, GoldenPath.b, GoldenPath.c and 2 more; apply crds/"), "{text}");
    }
}

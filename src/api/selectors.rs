//! Schema of a label selector, with limits: that of Kubernetes itself has none.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Longest key of a label: a prefix of 253, a slash and a name of 63.
const MAX_KEY: usize = 317;
/// Longest value of a label.
const MAX_VALUE: usize = 63;

/// Schema of a `LabelSelector`.
#[must_use]
pub fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "matchLabels lists labels that must have these values.",
                "type": "object",
                "maxProperties": 16,
                "additionalProperties": {"type": "string", "maxLength": MAX_VALUE},
            },
            "matchExpressions": {
                "description": "matchExpressions lists requirements on labels, all of which must hold.",
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "description": "Each entry is a requirement on one label.",
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {
                            "description": "key is the name of the label.",
                            "type": "string",
                            "maxLength": MAX_KEY,
                        },
                        "operator": {
                            "description": "operator says how the label is compared.",
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                        },
                        "values": {
                            "description": "values lists what the label is compared with by In and NotIn.",
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": MAX_VALUE},
                        },
                    },
                },
            },
        },
    })
}

//! Whose is a value? Read from `managedFields`, as the compiled policies read it.

use serde_json::{Map, Value};

use super::leaf::Leaf;
use super::metadata::records;
use super::remnant::Union;
use crate::api::{WorkloadKind, labels};

/// The field manager of `kubectl apply`.
pub const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";

/// A manager that owns something of the pod spec.
struct Manager<'a> {
    name: &'a str,
    fields: &'a Value,
    /// It sends what it wants, whatever stands there (server-side apply, `kubectl apply`). Others send back what they
    /// have read, and mean all of it.
    declares: bool,
}

/// What an object's `managedFields` say about its pod template.
///
/// Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.
pub struct Ownership<'a> {
    managers: Vec<Manager<'a>>,
    /// Whether anybody's ownership of the spec is recorded at all. Without it nothing can be told to be the road's.
    pub tracked: bool,
    last_applied: &'a str,
}

/// The part of a record's fields that lies in the pod template.
#[must_use]
pub fn fields_of_template(kind: WorkloadKind, fields: &Value) -> Option<&Value> {
    kind.template_path().iter().try_fold(fields, |at, name| at.get(format!("f:{name}")))
}

impl<'a> Ownership<'a> {
    /// Reads a workload.
    #[must_use]
    pub fn of(kind: WorkloadKind, object: &'a Value) -> Self {
        let entries = || {
            // what the fallback engine filled is nobody's, like what a policy fills
            records(object).filter(|m| {
                m.get("subresource").and_then(Value::as_str).unwrap_or_default().is_empty()
                    && m.get("manager") != Some(&labels::FALLBACK_MANAGER.into())
            })
        };
        let managers = entries()
            .filter_map(|m| {
                let pod_spec = fields_of_template(kind, m.get("fieldsV1")?)?.get("f:spec")?;
                let name = m.get("manager").and_then(Value::as_str).unwrap_or("unknown");
                let declares = m.get("operation") == Some(&"Apply".into()) || name == CLIENT_SIDE_APPLY;
                Some(Manager { name, fields: pod_spec, declares })
            })
            .collect();
        Self {
            managers,
            tracked: entries().any(|m| m.pointer("/fieldsV1/f:spec").is_some()),
            last_applied: object
                .pointer("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        }
    }

    /// Managers that own the leaf, its content, or (for a `path` that ends above a leaf) anything below it.
    pub fn owners<'b>(&'b self, leaf: &'b Leaf, container: Option<&'b str>) -> impl Iterator<Item = &'a str> + 'b {
        self.managers.iter().filter(move |m| below(m.fields, leaf, container).is_some()).map(|m| m.name)
    }

    /// Whether somebody owns a part of a leaf's value, its content, or an atomic value that it is in.
    #[must_use]
    pub fn owns_part(&self, leaf: &Leaf, container: Option<&str>, path: &[String]) -> bool {
        self.managers.iter().filter_map(|m| below(m.fields, leaf, container)).any(|fields| {
            let mut at = fields;
            for name in path {
                // owned without members: as a whole
                let whole = at.as_object().is_none_or(Map::is_empty);
                match at.get(format!("f:{name}")) {
                    _ if whole => return true,
                    Some(inner) => at = inner,
                    None => return false,
                }
            }
            true
        })
    }

    /// Whether somebody owns another member of a union.
    #[must_use]
    pub fn owns_rival(&self, leaf: &Leaf, container: Option<&str>, union: Union, member: &str) -> bool {
        self.managers.iter().filter_map(|m| below(m.fields, leaf, container)?.as_object()).any(|fields| {
            fields.keys().filter_map(|key| key.strip_prefix("f:")).any(|name| name != member && union.has(name))
        })
    }

    /// Whether everybody who owns something of the leaf declares all that they want of it.
    #[must_use]
    pub fn is_declared(&self, leaf: &Leaf, container: Option<&str>) -> bool {
        self.managers.iter().all(|m| m.declares || below(m.fields, leaf, container).is_none())
    }

    /// Whether the last `kubectl apply` wrote this text.
    #[must_use]
    pub fn wrote(&self, token: &str) -> bool {
        self.last_applied.contains(token)
    }

    /// Whether the last `kubectl apply` wrote the leaf's name anywhere, in any container. Over-cautious on purpose: CEL
    /// has no JSON parser, and where the two differ the value counts as the team's.
    #[must_use]
    pub fn applied(&self, leaf: &Leaf) -> bool {
        let Some(map) = leaf.quantities() else { return self.wrote(&leaf.token()) };
        let opening = format!("\"{map}\":{{");
        let mut maps = self.last_applied.split(&opening).skip(1).filter_map(|text| text.split('}').next());
        maps.any(|map| map.contains(&leaf.token()))
    }
}

/// What a manager owns at and below a leaf.
fn below<'a>(fields: &'a Value, leaf: &Leaf, container: Option<&str>) -> Option<&'a Value> {
    let mut at = Some(fields);
    if let (Some(list), Some(name)) = (leaf.place.list(), container) {
        at = at.and_then(|v| v.get(format!("f:{list}"))).and_then(|v| v.get(format!("k:{{\"name\":\"{name}\"}}")));
    }
    at = leaf.path.iter().fold(at, |at, name| at.and_then(|v| v.get(format!("f:{name}"))));
    if let Some(key) = &leaf.entry {
        at = at.and_then(|v| v.get(key.field_element()));
    }
    at
}

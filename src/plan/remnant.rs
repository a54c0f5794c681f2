//! What is left of the road's literal in a value that somebody else has begun to own.
//!
//! Server-side apply and `kubectl apply` merge by field: a team that writes a `tcpSocket` probe where the road had filled
//! an `httpGet` one gets both handlers, and the API server refuses its request. Such a value counts as the team's; the
//! parts of it that nobody but the road wrote leave in that same request. Not so where somebody edits the live object:
//! who sends back what the road filled, with one change, means all of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::leaf::{EntryKey, Leaf, RoadLeaf};
use super::ownership::Ownership;

/// A member of a literal that the author of the path wrote, at any depth. What the API server added is no part: it adds
/// it again.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Part {
    /// Names from the leaf down.
    pub path: Vec<String>,
    /// The literal there, as the API server writes it.
    pub value: Value,
}

impl Part {
    /// What a manifest that has this part, with this value, contains. An object may be written in many ways: its name.
    #[must_use]
    pub fn token(&self) -> String {
        let name = self.path.last().map_or("", String::as_str);
        match &self.value {
            Value::Object(_) | Value::Array(_) => format!("\"{name}\":"),
            scalar => format!("\"{name}\":{scalar}"),
        }
    }
}

/// Members of which a value can have only one: with a second one the API server refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Union {
    /// One of these.
    Of(&'static [&'static str]),
    /// Any member but this one.
    AllBut(&'static str),
}

impl Union {
    /// The union that a leaf is, if any. Source: the API server's pkg/apis/core/validation.
    #[must_use]
    pub fn of(leaf: &Leaf) -> Option<Self> {
        match leaf.path.last()?.as_str() {
            "livenessProbe" | "readinessProbe" | "startupProbe" | "postStart" | "preStop" => {
                Some(Self::Of(&["exec", "grpc", "httpGet", "sleep", "tcpSocket"]))
            }
            "env" => Some(Self::Of(&["value", "valueFrom"])),
            "resourceClaims" | "volumes" => Some(Self::AllBut("name")),
            _ => None,
        }
    }

    /// The union that a part is a member of, and its name there.
    #[must_use]
    pub fn with<'a>(leaf: &Leaf, part: &'a Part) -> Option<(Self, &'a str)> {
        let [member] = part.path.as_slice() else { return None };
        Self::of(leaf).filter(|union| union.has(member)).map(|union| (union, member.as_str()))
    }

    /// Whether a member is one of it.
    #[must_use]
    pub fn has(self, member: &str) -> bool {
        match self {
            Self::Of(members) => members.contains(&member),
            Self::AllBut(other) => member != other,
        }
    }
}

/// The parts of a literal: `written` by the author, `canonical` in the API server's words. Parents first; keys of
/// entries stay out, they are everybody's.
#[must_use]
pub fn parts(leaf: &Leaf, written: &Value, canonical: &Value) -> Vec<Part> {
    let mut found = Vec::new();
    walk(&mut Vec::new(), written, canonical, &mut found);
    if let Some(EntryKey(key)) = &leaf.entry {
        found.retain(|part| !key.iter().any(|(field, _)| part.path[0] == *field));
    }
    found
}

fn walk(at: &mut Vec<String>, written: &Value, canonical: &Value, found: &mut Vec<Part>) {
    let (Value::Object(written), Value::Object(canonical)) = (written, canonical) else { return };
    for (name, value) in written {
        let Some(canonical) = canonical.get(name) else { continue };
        at.push(name.clone());
        found.push(Part { path: at.clone(), value: canonical.clone() });
        walk(at, value, canonical, found);
        at.pop();
    }
}

/// The parts of a line that stand in `value` and are the road's: the highest ones.
pub fn remnants<'a>(line: &'a RoadLeaf, value: &Value, is_roads: impl Fn(&Part) -> bool) -> Vec<&'a Part> {
    let mut found: Vec<&Part> = Vec::new();
    for part in &line.parts {
        let here = part.path.iter().try_fold(value, |at, name| at.get(name));
        let inside = found.iter().any(|above| part.path.starts_with(&above.path));
        if here == Some(&part.value) && !inside && is_roads(part) {
            found.push(part);
        }
    }
    found
}

/// Nobody owns the part, and either somebody owns another member of the union, so that the API server would refuse the
/// value with both; or all owners declare what they want, and declared something beside the part and not the part. The
/// one member of a union stays, with all that is in it: the team leans on it.
#[must_use]
pub fn is_remnant(part: &Part, leaf: &Leaf, container: Option<&str>, ownership: &Ownership<'_>) -> bool {
    if ownership.owns_part(leaf, container, &part.path) {
        return false;
    }
    let above = &part.path[..part.path.len().saturating_sub(1)];
    match Union::with(leaf, part) {
        Some((union, member)) => ownership.owns_rival(leaf, container, union, member),
        None => {
            ownership.owns_part(leaf, container, above)
                && ownership.is_declared(leaf, container)
                && !ownership.wrote(&part.token())
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::WorkloadKind;
    use crate::plan::gaps::{filled, gaps};
    use crate::plan::leaf::{Place, Road, Wish};

    const WRITTEN: &str = r#"{"httpGet": {"path": "/", "port": 80}, "periodSeconds": 5}"#;
    const CANONICAL: &str =
        r#"{"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 5, "timeoutSeconds": 1}"#;

    fn json_of(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn probe_leaf() -> Leaf {
        Leaf { place: Place::Containers, path: vec!["livenessProbe".into()], entry: None }
    }

    fn road() -> Road {
        let mut road = Road::default();
        road.wish(probe_leaf(), None, Wish { default: "probes".into(), value: json_of(CANONICAL), forbidden: false })
            .unwrap();
        road.0[0].parts = parts(&probe_leaf(), &json_of(WRITTEN), &json_of(CANONICAL));
        road
    }

    fn workload(manager: &str, operation: &str, owned: &Value, applied: &str, probe: &Value) -> Value {
        json!({
            "metadata": {
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied},
                "managedFields": [{"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:template": {"f:spec": {
                    "f:containers": {"k:{\"name\":\"app\"}": {"f:livenessProbe": owned}},
                }}}}}],
            },
            "spec": {"template": {"spec": {"containers": [{"name": "app", "livenessProbe": probe}]}}},
        })
    }

    #[test]
    fn parts_are_what_the_author_wrote() {
        let found = parts(&probe_leaf(), &json_of(WRITTEN), &json_of(CANONICAL));
        let names: Vec<String> = found.iter().map(|p| p.path.join(".")).collect();
        assert_eq!(names, ["httpGet", "httpGet.path", "httpGet.port", "periodSeconds"]);
        assert_eq!(found[0].value, json_of(CANONICAL)["httpGet"], "in the API server's words");
        let entry = Leaf { entry: Some(EntryKey(vec![("name".into(), "\"A\"".into())])), ..Leaf::default() };
        let variable = json!({"name": "A", "value": "1"});
        assert_eq!(parts(&entry, &variable, &variable).len(), 1, "the key is everybody's");
    }

    #[rstest]
    #[case::applied_another_handler("team", "Apply", json!({"f:tcpSocket": {"f:port": {}}}), "",
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "tcpSocket": {"port": 1}, "periodSeconds": 5, "timeoutSeconds": 1}),
        json!({"tcpSocket": {"port": 1}, "timeoutSeconds": 1}))]
    #[case::applied_another_port("team", "Apply", json!({"f:httpGet": {"f:port": {}}}), "",
        json!({"httpGet": {"path": "/", "port": 81}, "periodSeconds": 5}),
        json!({"httpGet": {"port": 81}}))]
    #[case::owned_as_a_whole("team", "Apply", json!({"f:httpGet": {}}), "",
        json!({"httpGet": {"path": "/", "port": 81}}),
        json!({"httpGet": {"path": "/", "port": 81}}))]
    #[case::kubectl_applied_another_handler("kubectl-client-side-apply", "Update", json!({"f:exec": {"f:command": {}}}),
        r#"{"readinessProbe":{"httpGet":{}},"livenessProbe":{"exec":{},"periodSeconds":5}}"#,
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "exec": {"command": ["a"]}, "periodSeconds": 5}),
        json!({"exec": {"command": ["a"]}, "periodSeconds": 5}))]
    #[case::edited_live("kubectl-edit", "Update", json!({"f:periodSeconds": {}}), "",
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 7}),
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 7}))]
    #[case::leans_on_the_handler("team", "Apply", json!({"f:periodSeconds": {}}), "",
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 7}),
        json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 7}))]
    fn what_only_the_road_wrote_leaves(
        #[case] manager: &str,
        #[case] operation: &str,
        #[case] owned: Value,
        #[case] applied: &str,
        #[case] probe: Value,
        #[case] left: Value,
    ) {
        let (road, object) = (road(), workload(manager, operation, &owned, applied, &probe));
        let kind = WorkloadKind::Deployment;
        let after = filled(kind, &object, &gaps(kind, &object, &road));
        assert_eq!(after["spec"]["containers"][0]["livenessProbe"], left);
    }
}

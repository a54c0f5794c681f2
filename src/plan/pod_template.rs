//! From a default's `podTemplate` to leaves, with an answer for everything that cannot be filled.

use serde_json::{Map, Value};

use super::leaf::{EntryKey, Leaf, Place, Road, Wish};
use super::schema::{PodSchema, Scalar, Shape};
use crate::api::{Override, PathDefault, brief};
use crate::cel::compare_quantities;

/// Most leaves of one path. The API server gives a policy a budget of CEL cost, which 64 leaves on 50 containers stay
/// well below (measured by the latency test); a policy beyond it would fail open without a word.
pub const MAX_LEAVES: usize = 64;

/// What is wrong with a `podTemplate`: default, field, value and the fix.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("defaults[{default}].podTemplate.{field}: {value}: {problem}; {fix}")]
pub struct InvalidDefault {
    /// Name of the default.
    pub default: String,
    /// The field within the pod template.
    pub field: String,
    /// The value that stands there, shortened.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub fix: String,
}

/// Fields of which a default would change what a workload is, or what it inherits from elsewhere.
const NOT_FILLABLE: [(&str, &str, &str); 15] = [
    ("PodSpec", "activeDeadlineSeconds", "workloads that restart their pods do not take it; remove it"),
    ("PodSpec", "ephemeralContainers", "a pod template cannot have them; remove it"),
    ("PodSpec", "hostIPC", "a road gives no privileges; write a check"),
    ("PodSpec", "hostNetwork", "a road gives no privileges; write a check"),
    ("PodSpec", "hostPID", "a road gives no privileges; write a check"),
    ("PodSpec", "hostnameOverride", "every pod would get the same name; remove it"),
    (
        "PodSpec",
        "imagePullSecrets",
        "pods inherit them from their ServiceAccount, which a filled list would hide; put it there",
    ),
    ("PodSpec", "nodeName", "every pod would land on one node; use nodeSelector or affinity"),
    ("PodSpec", "os", "only the team knows what its image runs on; write a check"),
    ("PodSpec", "priority", "the API server sets it from priorityClassName; fill that"),
    ("PodSpec", "resources", "it would hide what containers set; fill containers[].resources"),
    ("PodSpec", "schedulingGates", "pods would wait for ever; remove it"),
    ("PodSpec", "serviceAccount", "who a workload is, is the team's to say; write a check"),
    ("PodSpec", "serviceAccountName", "who a workload is, is the team's to say; write a check"),
    ("Container", "image", "what a container runs is the team's to say; write a check"),
];

/// Adds every leaf of a default to the road.
pub fn collect(default: &PathDefault, road: &mut Road) -> Result<(), InvalidDefault> {
    let Some(template) = &default.pod_template else { return Ok(()) };
    let at = At {
        default: &default.name,
        forbidden: default.permission == Override::Forbidden,
        place: Place::Pod,
        container: None,
        path: Vec::new(),
    };
    if let Some((name, value)) = template.iter().find(|(name, _)| *name != "spec") {
        let error = at.problem(value, "only spec can be filled", "move the values under podTemplate.spec");
        return Err(InvalidDefault { field: name.clone(), ..error });
    }
    let Some(Value::Object(spec)) = template.get("spec") else {
        let value = template.get("spec").unwrap_or(&Value::Null);
        return Err(at.problem(value, "is not an object", "write the fields of a pod under podTemplate.spec"));
    };
    let mut walk = Walk { road, schema: PodSchema::get() };
    walk.object("PodSpec", spec, &at)?;
    if walk.road.0.len() > MAX_LEAVES {
        let problem = format!("the path fills {} fields", walk.road.0.len());
        return Err(at.problem(&Value::Null, &problem, &format!("at most {MAX_LEAVES} can be proved; split the path")));
    }
    Ok(())
}

/// A position in the template.
struct At<'a> {
    default: &'a str,
    forbidden: bool,
    place: Place,
    container: Option<&'a str>,
    path: Vec<String>,
}

impl At<'_> {
    fn child(&self, name: &str) -> Self {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        Self { path, ..*self }
    }

    fn leaf(&self, entry: Option<EntryKey>) -> Leaf {
        Leaf { place: self.place, path: self.path.clone(), entry }
    }

    fn problem(&self, value: &Value, problem: &str, fix: &str) -> InvalidDefault {
        InvalidDefault {
            default: self.default.to_owned(),
            field: self.leaf(None).field(self.container),
            value: brief(value),
            problem: problem.to_owned(),
            fix: fix.to_owned(),
        }
    }
}

struct Walk<'a> {
    road: &'a mut Road,
    schema: &'static PodSchema,
}

impl Walk<'_> {
    fn object(&mut self, of: &str, fields: &Map<String, Value>, at: &At<'_>) -> Result<(), InvalidDefault> {
        if fields.is_empty() {
            return Err(at.problem(&Value::Object(Map::new()), "is empty", "name the fields to fill, or remove it"));
        }
        for (name, value) in fields {
            self.field(of, name, value, &at.child(name))?;
        }
        Ok(())
    }

    fn field(&mut self, of: &str, name: &str, value: &Value, at: &At<'_>) -> Result<(), InvalidDefault> {
        if of == "PodSpec" && matches!(name, "containers" | "initContainers") {
            return self.containers(name, value, at);
        }
        if let Some((.., fix)) = NOT_FILLABLE.iter().find(|(t, f, _)| *t == of && *f == name) {
            return Err(at.problem(value, "cannot be a default", fix));
        }
        match self.schema.shape(of, name) {
            None => {
                let known = nearest(name, self.schema.fields(of));
                Err(at.problem(value, &format!("{of} has no such field"), &known))
            }
            Some(Shape::Defaulted(set)) => Err(at.problem(
                value,
                &format!("the API server sets it to {} before a policy can see that it was open", brief(set)),
                "write it as a check",
            )),
            Some(Shape::Scalar(scalar, values)) => {
                scalar_fits(scalar, values, value, at)?;
                self.wish(at, None, value)
            }
            Some(Shape::Whole) if is_empty(value) => Err(at.problem(value, "is empty", "write a value, or remove it")),
            Some(Shape::Whole) => self.wish(at, None, value),
            Some(Shape::Struct(of)) => match value {
                Value::Object(fields) => self.object(of, fields, at),
                other => Err(at.problem(other, "is not an object", "write its fields")),
            },
            Some(Shape::Map(scalar)) => self.map(scalar, value, at),
            Some(Shape::Entries(keys)) => self.entries(keys, value, at),
        }
    }

    fn map(&mut self, scalar: Scalar, value: &Value, at: &At<'_>) -> Result<(), InvalidDefault> {
        let Some(entries) = value.as_object().filter(|o| !o.is_empty()) else {
            return Err(at.problem(value, "is not a map with entries", "write name: value"));
        };
        for (name, value) in entries {
            let at = at.child(name);
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
                return Err(at.problem(value, "is not a valid name", "use letters, digits, '-', '_', '.' and '/'"));
            }
            scalar_fits(scalar, &[], value, &at)?;
            self.wish(&at, None, value)?;
        }
        Ok(())
    }

    fn entries(&mut self, keys: &[String], value: &Value, at: &At<'_>) -> Result<(), InvalidDefault> {
        let Some(list) = value.as_array().filter(|l| !l.is_empty()) else {
            return Err(at.problem(value, "is not a list with entries", "write a list"));
        };
        for entry in list {
            let mut key = Vec::new();
            for field in keys {
                let standard = Value::from("TCP");
                let Some(value) = entry.get(field).or_else(|| (field == "protocol").then_some(&standard)) else {
                    return Err(at.problem(entry, &format!("an entry has no {field}"), &format!("write {field}: ...")));
                };
                let text = value.to_string();
                if !text.chars().all(|c| c.is_ascii_graphic() && !"<>&\\'".contains(c)) {
                    return Err(at.problem(value, "cannot be the key of a default", "use plain letters and digits"));
                }
                key.push((field.clone(), text));
            }
            self.wish(at, Some(EntryKey(key)), entry)?;
        }
        Ok(())
    }

    fn containers(&mut self, list: &str, value: &Value, at: &At<'_>) -> Result<(), InvalidDefault> {
        let place = if list == "containers" { Place::Containers } else { Place::InitContainers };
        let Some(containers) = value.as_array().filter(|l| !l.is_empty()) else {
            return Err(at.problem(value, "is not a list with entries", "write - name: \"*\" and the fields to fill"));
        };
        for container in containers {
            let Some(name) = container.get("name").and_then(Value::as_str) else {
                return Err(at.problem(container, "a container has no name", "write name: \"*\" for every container"));
            };
            let of =
                At { default: at.default, forbidden: at.forbidden, place, container: Some(name), path: Vec::new() };
            if name == "*" && place == Place::InitContainers {
                return Err(of.problem(
                    container,
                    "init containers are filled only by name",
                    "name the init container",
                ));
            }
            if name != "*" && !is_dns_label(name) {
                return Err(of.problem(container, "is not a container name", "use \"*\" or a DNS label"));
            }
            let mut fields = container.as_object().cloned().unwrap_or_default();
            fields.remove("name");
            self.object("Container", &fields, &of)?;
        }
        Ok(())
    }

    fn wish(&mut self, at: &At<'_>, entry: Option<EntryKey>, value: &Value) -> Result<(), InvalidDefault> {
        let container = at.container.filter(|name| *name != "*").map(ToOwned::to_owned);
        let wish = Wish { default: at.default.to_owned(), value: value.clone(), forbidden: at.forbidden };
        self.road.wish(at.leaf(entry), container, wish).map_err(|earlier| {
            let problem = format!("default {} fills the same field", earlier.default);
            at.problem(value, &problem, "keep one of the two")
        })
    }
}

fn scalar_fits(scalar: Scalar, values: &[String], value: &Value, at: &At<'_>) -> Result<(), InvalidDefault> {
    let text = value.as_str();
    let (fits, fix) = match scalar {
        Scalar::Boolean => (value.is_boolean(), "write true or false"),
        Scalar::Integer => (value.is_i64(), "write a whole number"),
        Scalar::String => (text.is_some_and(|t| !t.is_empty()), "write a text"),
        Scalar::Quantity => (
            value.is_number() || text.is_some_and(|t| compare_quantities(t, t).is_some()),
            "write a quantity such as 100m, 0.5 or 128Mi",
        ),
    };
    if !fits {
        let problem = format!(
            "is not {}",
            match scalar {
                Scalar::Boolean => "a boolean",
                Scalar::Integer => "an integer",
                Scalar::String => "a string",
                Scalar::Quantity => "a quantity",
            }
        );
        return Err(at.problem(value, &problem, fix));
    }
    if values.is_empty() || text.is_some_and(|t| values.iter().any(|v| v == t)) {
        return Ok(());
    }
    Err(at.problem(value, "is not one of its values", &format!("write one of {}", values.join(", "))))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

pub(super) fn is_dns_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// "did you mean": the field with the same letters in another case, or the longest common beginning.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let common = |other: &str| {
        let (a, b) = (name.to_ascii_lowercase(), other.to_ascii_lowercase());
        a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count()
    };
    match known.map(|k| (common(k), k)).max_by_key(|(n, k)| (*n, std::cmp::Reverse(k.len()))) {
        Some((shared, field)) if shared >= 3 => format!("did you mean {field}?"),
        _ => "see kubectl explain pod.spec".to_owned(),
    }
}

/// The road of one default, for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn road(template: &Value) -> Road {
    let mut road = Road::default();
    let default =
        PathDefault { name: "d".into(), pod_template: template.as_object().cloned(), ..PathDefault::default() };
    collect(&default, &mut road).unwrap();
    road
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn road_of(template: &Value) -> Result<Road, InvalidDefault> {
        let mut road = Road::default();
        let pod_template = template.as_object().cloned();
        collect(&PathDefault { name: "d".into(), pod_template, ..PathDefault::default() }, &mut road)?;
        Ok(road)
    }

    #[test]
    fn a_template_becomes_leaves() {
        let road = road_of(&json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {"name": "*", "resources": {"requests": {"cpu": "100m", "nvidia.com/gpu": 1}}, "env": [{"name": "A", "value": "1"}]},
                {"name": "app", "ports": [{"containerPort": 80}]},
            ],
            "tolerations": [{"operator": "Exists"}],
        }}))
        .unwrap();
        let fields: Vec<String> = road.0.iter().map(|l| l.leaf.field(None)).collect();
        assert_eq!(
            fields,
            [
                "spec.securityContext.runAsNonRoot",
                "spec.securityContext.seccompProfile",
                "spec.tolerations",
                "spec.containers[*].env[name=A]",
                "spec.containers[*].ports[containerPort=80,protocol=TCP]",
                "spec.containers[*].resources.requests.cpu",
                "spec.containers[*].resources.requests['nvidia.com/gpu']",
            ]
        );
    }

    #[rstest]
    #[case::not_a_quantity(json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": "banana"}}}]}}),
        "defaults[d].podTemplate.spec.containers[*].resources.requests.cpu: \"banana\": is not a quantity; write a quantity such as 100m, 0.5 or 128Mi")]
    #[case::no_such_field(json!({"spec": {"securityContext": {"runAsNonroot": true}}}),
        "defaults[d].podTemplate.spec.securityContext.runAsNonroot: true: PodSecurityContext has no such field; did you mean runAsNonRoot?")]
    #[case::set_by_the_server(json!({"spec": {"terminationGracePeriodSeconds": 60}}),
        "defaults[d].podTemplate.spec.terminationGracePeriodSeconds: 60: the API server sets it to 30 before a policy can see that it was open; write it as a check")]
    #[case::identity(json!({"spec": {"serviceAccountName": "root"}}),
        "defaults[d].podTemplate.spec.serviceAccountName: \"root\": cannot be a default; who a workload is, is the team's to say; write a check")]
    #[case::wrong_type(json!({"spec": {"automountServiceAccountToken": "no"}}),
        "defaults[d].podTemplate.spec.automountServiceAccountToken: \"no\": is not a boolean; write true or false")]
    #[case::init_containers_by_name(json!({"spec": {"initContainers": [{"name": "*", "tty": true}]}}),
        "defaults[d].podTemplate.spec.initContainers[*]: {\"name\":\"*\",\"tty\":true}: init containers are filled only by name; name the init container")]
    #[case::metadata(json!({"metadata": {"labels": {}}}),
        "defaults[d].podTemplate.metadata: {\"labels\":{}}: only spec can be filled; move the values under podTemplate.spec")]
    fn what_cannot_be_filled_is_answered_with_the_fix(#[case] template: Value, #[case] message: &str) {
        assert_eq!(road_of(&template).unwrap_err().to_string(), message);
    }

    #[test]
    fn two_defaults_cannot_fill_one_field() {
        let mut road = Road::default();
        let of = |name: &str| PathDefault {
            name: name.into(),
            pod_template: json!({"spec": {"automountServiceAccountToken": false}}).as_object().cloned(),
            ..PathDefault::default()
        };
        collect(&of("a"), &mut road).unwrap();
        let error = collect(&of("b"), &mut road).unwrap_err();
        assert_eq!(error.problem, "default a fills the same field");
    }
}

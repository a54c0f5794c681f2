//! The gaps of a workload against a road, and the template with them filled: what the compiled policy does, in Rust.
//!
//! Per leaf and container: absent -> add; the road's -> keep, replace or remove; anybody else's -> leave.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::guard::{At, Condition, held, refused, yields};
use super::leaf::{Leaf, Place, Road, RoadLeaf, Wish, put, take};
use super::ownership::Ownership;
use super::remnant::{Part, Union, remnants};
use super::schema::PodSchema;
use crate::api::WorkloadKind;
use crate::cel::compare_quantities;

/// Whose value stands in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Nothing stands there.
    Nobodys,
    /// A literal of the road that no manager owns.
    Roads,
    /// Everything else: the team's own, or another admission plugin's.
    Teams,
}

/// One leaf in one container (or the pod) of a workload.
#[derive(Clone, Debug)]
pub struct Gap<'a> {
    /// The line of the road.
    pub road: &'a RoadLeaf,
    /// The container, and its index.
    pub container: Option<(usize, String)>,
    /// What the revision wants here.
    pub wish: Option<&'a Wish>,
    /// What stands here.
    pub current: Option<Value>,
    /// Whose that is.
    pub whose: Whose,
    /// Managers that own it.
    pub managers: Vec<String>,
    /// The road leaves it open although it is absent, see [`yields`].
    pub yields: bool,
    held: bool,
    /// Parts of the road's literals in a value that has become somebody else's.
    remnants: Vec<&'a Part>,
}

impl Gap<'_> {
    /// The road's value should stand here.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wish.is_some() && self.whose != Whose::Teams && !self.yields
    }

    /// The road's present value, if it should go.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.whose == Whose::Roads && !self.wanted() && !self.held
    }

    /// The value to write, if the next acting request should write one.
    #[must_use]
    pub fn adds(&self) -> Option<&Value> {
        let wish = self.wish.filter(|_| self.wanted())?;
        (self.current.as_ref() != Some(&wish.value)).then_some(&wish.value)
    }

    /// The field as people write it.
    #[must_use]
    pub fn field(&self) -> String {
        self.road.leaf.field(self.container.as_ref().map(|(_, name)| name.as_str()))
    }
}

/// All gaps of a workload. `object` is the whole object with its `managedFields`.
#[must_use]
pub fn gaps<'a>(kind: WorkloadKind, object: &Value, road: &'a Road) -> Vec<Gap<'a>> {
    let ownership = Ownership::of(kind, object);
    let Some(template) = kind.template_path().iter().try_fold(object, |at, name| at.get(name)) else {
        return Vec::new();
    };
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let mut found: Vec<Gap<'a>> = Vec::new();
    for line in &road.0 {
        for (container, root) in roots(spec, line.leaf.place) {
            let name = container.as_ref().map(|(_, name)| name.as_str());
            let current = line.leaf.get(root);
            let managers: Vec<String> = ownership.owners(&line.leaf, name).map(ToOwned::to_owned).collect();
            let whose = match current {
                None => Whose::Nobodys,
                Some(value) if managers.is_empty() && ownership.tracked && line.formerly.contains(value) => {
                    // the team may have written the same value; but nobody writes what the API server would refuse
                    let refused = || holds(&refused(&line.leaf, value), template, container.as_ref().map(|_| root));
                    if !ownership.applied(&line.leaf) || refused() { Whose::Roads } else { Whose::Teams }
                }
                Some(_) => Whose::Teams,
            };
            let wish = line.wishes.for_container(name.unwrap_or_default());
            let remnants = match current {
                Some(value) if whose == Whose::Teams && ownership.tracked && !managers.is_empty() => {
                    remnants(line, value, |part| is_remnant(part, &line.leaf, name, &ownership))
                }
                _ => Vec::new(),
            };
            let current = current.cloned();
            found.push(Gap {
                road: line,
                container,
                wish,
                current,
                whose,
                managers,
                yields: false,
                held: false,
                remnants,
            });
        }
    }
    judge(template, road, &mut found);
    found
}

/// Nobody owns the part, and either somebody owns another member of the union, so that the API server would refuse the
/// value with both; or all owners declare what they want, and declared something beside the part and not the part. The
/// one member of a union stays, with all that is in it: the team leans on it.
fn is_remnant(part: &Part, leaf: &Leaf, container: Option<&str>, ownership: &Ownership<'_>) -> bool {
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

/// Sets `yields` and `held`, which look at the team's view: the template without the road's values.
fn judge(template: &Value, road: &Road, found: &mut [Gap<'_>]) {
    let mut view = template.clone();
    for gap in found.iter().filter(|g| g.whose == Whose::Roads) {
        if let Some(root) = root_mut(&mut view, gap.road.leaf.place, gap.container.as_ref().map(|(i, _)| *i)) {
            take(root, &gap.road.leaf);
        }
    }
    for gap in found {
        let list = gap.road.leaf.place.list().unwrap_or_default();
        let container = gap.container.as_ref().and_then(|(i, _)| view.pointer(&format!("/spec/{list}/{i}")));
        gap.yields = gap.wish.is_some_and(|w| holds(&yields(&gap.road.leaf, &w.value, road), &view, container));
        gap.held = holds(&held(&gap.road.leaf), &view, container);
    }
}

/// The pod template after the API server has filled it: `gaps` applied. Equal, leaf for leaf, to what the policy makes.
#[must_use]
pub fn filled(kind: WorkloadKind, object: &Value, gaps: &[Gap<'_>]) -> Value {
    let ownership = Ownership::of(kind, object);
    let template = kind.template_path().iter().try_fold(object, |at, name| at.get(name));
    let mut template = template.cloned().unwrap_or(Value::Null);
    for gap in gaps.iter().filter(|g| !g.remnants.is_empty()) {
        let root = root_mut(&mut template, gap.road.leaf.place, gap.container.as_ref().map(|(i, _)| *i));
        if let Some(value) = root.and_then(|root| gap.road.leaf.get_mut(root)) {
            gap.remnants.iter().for_each(|part| take(value, &Leaf { path: part.path.clone(), ..Leaf::default() }));
        }
    }
    for gap in gaps.iter().filter(|g| g.removes()) {
        let index = gap.container.as_ref().map(|(i, _)| *i);
        let name = gap.container.as_ref().map(|(_, name)| name.as_str());
        if let Some(root) = root_mut(&mut template, gap.road.leaf.place, index) {
            take(root, &gap.road.leaf);
            prune(root, &gap.road.leaf, name, &ownership);
        }
    }
    for gap in gaps {
        let index = gap.container.as_ref().map(|(i, _)| *i);
        if let (Some(value), Some(root)) = (gap.adds(), root_mut(&mut template, gap.road.leaf.place, index)) {
            put(root, &gap.road.leaf, value);
        }
    }
    normalise(&mut template);
    template
}

/// The object as its team left it: without the road's values in `gaps`, and without the husks that they would leave.
#[must_use]
pub fn team_view<'a>(kind: WorkloadKind, object: &'a Value, gaps: &[Gap<'_>]) -> Cow<'a, Value> {
    let roads: Vec<_> = gaps.iter().filter(|g| g.whose == Whose::Roads).collect();
    if roads.is_empty() {
        return Cow::Borrowed(object);
    }
    let ownership = Ownership::of(kind, object);
    let mut view = object.clone();
    let Some(template) = view.pointer_mut(&format!("/{}", kind.template_path().join("/"))) else {
        return Cow::Borrowed(object);
    };
    for gap in roads {
        let index = gap.container.as_ref().map(|(i, _)| *i);
        let name = gap.container.as_ref().map(|(_, name)| name.as_str());
        if let Some(root) = root_mut(template, gap.road.leaf.place, index) {
            take(root, &gap.road.leaf);
            prune(root, &gap.road.leaf, name, &ownership);
        }
    }
    normalise(template);
    Cow::Owned(view)
}

/// Puts back the empty structs that the API server makes by itself, so that templates compare equal.
pub fn normalise(template: &mut Value) {
    let Some(spec) = template.get_mut("spec") else { return };
    let schema = PodSchema::get();
    let fill = |value: &mut Value, of: &str| {
        if let Some(object) = value.as_object_mut() {
            for name in schema.defaulted_structs(of) {
                object.entry(name).or_insert_with(|| Value::Object(serde_json::Map::new()));
            }
        }
    };
    fill(spec, "PodSpec");
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            fill(container, "Container");
        }
    }
}

/// Removes empty parents up to the first that somebody owns or that still holds something: never a husk. Empty lists and
/// maps go in any case: the API server does not write them.
fn prune(root: &mut Value, leaf: &Leaf, container: Option<&str>, ownership: &Ownership<'_>) {
    let top = if leaf.entry.is_some() { leaf.path.len() } else { leaf.path.len().saturating_sub(1) };
    for depth in (1..=top).rev() {
        let parent = Leaf { place: leaf.place, path: leaf.path[..depth].to_vec(), entry: None };
        let empty = match parent.get(root) {
            Some(Value::Object(fields)) => fields.is_empty(),
            Some(Value::Array(entries)) => entries.is_empty(),
            _ => false,
        };
        let owned = ownership.owners(&parent, container).next().is_some();
        if !empty || (owned && !PodSchema::get().omits_empty(&parent)) {
            return;
        }
        take(root, &parent);
        if owned {
            return;
        }
    }
}

/// Roots of a place: the pod spec, or each container with index and name.
fn roots(spec: &Value, place: Place) -> Vec<(Option<(usize, String)>, &Value)> {
    let Some(list) = place.list() else { return vec![(None, spec)] };
    let containers = spec.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name = |c: &Value| c.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    containers.iter().enumerate().map(|(i, c)| (Some((i, name(c))), c)).collect()
}

fn root_mut(template: &mut Value, place: Place, index: Option<usize>) -> Option<&mut Value> {
    let spec = template.get_mut("spec")?;
    match (place.list(), index) {
        (None, _) => Some(spec),
        (Some(list), Some(i)) => spec.get_mut(list)?.get_mut(i),
        (Some(_), None) => None,
    }
}

fn compare(map: Option<&Value>, name: &str, limit: &str) -> Option<Ordering> {
    compare_quantities(map?.get(name)?.as_str()?, limit)
}

/// Evaluates a condition on a template. `container` is the one being filled.
#[must_use]
pub fn holds(condition: &Condition, template: &Value, container: Option<&Value>) -> bool {
    let root = |at: At| match at {
        At::Pod => template.get("spec"),
        At::Container => container,
    };
    let get = |at: At, path: &[&str]| path.iter().try_fold(root(at)?, |v, name| v.get(name));
    match condition {
        Condition::Any(all) => all.iter().any(|c| holds(c, template, container)),
        Condition::Not(inner) => !holds(inner, template, container),
        Condition::Has(at, path) => get(*at, path).is_some(),
        Condition::HasEntry(at, path, name) => get(*at, path).and_then(|m| m.get(name)).is_some(),
        Condition::Is(at, path, value) => get(*at, path) == Some(value),
        Condition::Contains(at, path, names) => get(*at, path)
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|v| v.as_str().is_some_and(|v| names.contains(&v)))),
        Condition::ListHas(at, list, field, value) => get(*at, &[list])
            .and_then(Value::as_array)
            .is_some_and(|entries| entries.iter().any(|e| e.get(field) == Some(value))),
        Condition::Exceeds(at, path, name, limit) => compare(get(*at, path), name, limit) == Some(Ordering::Greater),
        Condition::Below(at, path, name, limit) => compare(get(*at, path), name, limit) == Some(Ordering::Less),
        Condition::InAnyContainer(inner) => ["containers", "initContainers"]
            .iter()
            .filter_map(|list| template.get("spec")?.get(list)?.as_array())
            .flatten()
            .any(|c| holds(inner, template, Some(c))),
        Condition::Annotated(prefix) => template
            .pointer("/metadata/annotations")
            .and_then(Value::as_object)
            .is_some_and(|a| a.keys().any(|k| k.starts_with(prefix))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const LIMITS: &str = r#"{"name":"app","resources":{"limits":{"memory":"?"}}}"#;
    const REQUESTS: &str =
        r#"{"name":"app","resources":{"limits":{"memory":"?"}}},{"resources":{"requests":{"memory":"?"}}}"#;

    /// The road had filled a request. `kubectl apply` then wrote limits, and maybe a request of another container.
    fn applied(last: &str, limit: &str) -> Value {
        json!({
            "metadata": {
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last},
                "managedFields": [{"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {
                    "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {
                        "f:resources": {"f:limits": {"f:memory": {}}},
                    }}}},
                }}}],
            },
            "spec": {"template": {"spec": {"containers": [
                {"name": "app", "resources": {"requests": {"memory": "128Mi"}, "limits": {"memory": limit}}},
            ]}}},
        })
    }

    #[rstest]
    #[case::only_the_limit_was_applied(LIMITS, "256Mi", Whose::Roads, None)]
    #[case::refused(REQUESTS, "64Mi", Whose::Roads, None)]
    #[case::allowed(REQUESTS, "256Mi", Whose::Teams, Some("128Mi"))]
    fn a_value_that_kubectl_may_have_applied_is_the_teams_unless_the_server_would_refuse_it(
        #[case] last: &str,
        #[case] limit: &str,
        #[case] whose: Whose,
        #[case] request: Option<&str>,
    ) {
        let mut road = Road::default();
        let path = ["resources", "requests", "memory"].map(str::to_owned).to_vec();
        let leaf = Leaf { place: Place::Containers, path, entry: None };
        road.wish(leaf, None, Wish { default: "d".into(), value: json!("128Mi") }).unwrap();
        let (kind, object) = (WorkloadKind::Deployment, applied(last, limit));
        let gaps = gaps(kind, &object, &road);
        assert_eq!(gaps[0].whose, whose);
        let after = filled(kind, &object, &gaps);
        let resources = &after["spec"]["containers"][0]["resources"];
        assert_eq!(resources["requests"]["memory"].as_str(), request);
        assert_eq!(resources["requests"].is_null(), request.is_none(), "no husk");
    }
}

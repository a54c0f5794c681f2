//! The gaps of a workload against a road, and the template with them filled: what the compiled policy does, in Rust.
//!
//! Per leaf and container: absent -> add; the road's -> keep, replace or remove; anybody else's -> leave.

use std::borrow::Cow;

use serde_json::Value;

use super::guard::{Sight, held, refused, yields};
use super::leaf::{Leaf, Place, Road, RoadLeaf, Wish, put, take};
use super::ownership::Ownership;
use super::remnant::{Part, is_remnant, remnants};
use super::schema::PodSchema;
pub use super::view::Label;
use super::view::{Views, enforces, holds, skips};
use crate::api::WorkloadKind;

/// Whose value stands in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Nothing stands there, and no manager owns it.
    Nobodys,
    /// A literal of the road that no manager owns.
    Roads,
    /// Everything else: the team's own, or another admission plugin's. Nothing stands there where the team has set an
    /// empty value that the API server drops (`tolerations: []`).
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
    /// The road does not want its value here, because of others: see [`yields`].
    pub yields: bool,
    /// What the workload's labels say about the default.
    pub label: Label,
    /// A literal of the road that no manager owns: it is the road's, or the team has written the same.
    ownerless: bool,
    held: bool,
    /// Parts of the road's literals in a value that has become somebody else's.
    remnants: Vec<&'a Part>,
}

impl Gap<'_> {
    /// The road's value should stand here.
    #[must_use]
    pub fn wanted(&self) -> bool {
        self.wish.is_some() && (self.label == Label::Enforces || (self.whose != Whose::Teams && !self.yields))
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

    /// The team's own value is the road's.
    #[must_use]
    pub fn is_equal_by_team(&self) -> bool {
        self.whose == Whose::Teams && self.wish.is_some_and(|wish| self.current.as_ref() == Some(&wish.value))
    }

    fn at(&self) -> Option<(Place, usize)> {
        self.container.as_ref().map(|(index, _)| (self.road.leaf.place, *index))
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
            let owned = !managers.is_empty();
            let remnants = match current {
                Some(value) if owned && ownership.tracked => {
                    remnants(line, value, |part| is_remnant(part, &line.leaf, name, &ownership))
                }
                _ => Vec::new(),
            };
            found.push(Gap {
                road: line,
                wish: line.wishes.for_container(name.unwrap_or_default()),
                ownerless: !owned && ownership.tracked && current.is_some_and(|v| line.formerly.contains(v)),
                // the API server drops an empty list, and still knows who wants it empty
                whose: if owned || current.is_some() { Whose::Teams } else { Whose::Nobodys },
                current: current.cloned(),
                container,
                managers,
                yields: false,
                label: Label::Nothing,
                held: false,
                remnants,
            });
        }
    }
    judge(object, template, &ownership, road, &mut found);
    found
}

/// Decides which values are enforced and whose the ownerless ones are, and then which values yield or are held.
fn judge(object: &Value, template: &Value, ownership: &Ownership<'_>, road: &Road, found: &mut [Gap<'_>]) {
    let without_ownerless = without(template, found.iter().filter(|g| g.ownerless));
    let mut views =
        Views { whole: template.clone(), without_roads: Value::Null, without_ownerless, skips: skips(object) };
    if enforces(object) {
        for gap in found.iter_mut() {
            gap.label = label(gap, &views);
        }
    }
    for gap in found.iter_mut().filter(|g| g.ownerless) {
        // the team may have written the same value; but nobody writes what the API server would refuse
        let refused = |value| holds(&refused(&gap.road.leaf, value), Sight::BEFORE, &views, gap.at());
        if !ownership.applied(&gap.road.leaf) || gap.current.as_ref().is_some_and(refused) {
            gap.whose = Whose::Roads;
        }
    }
    views.without_roads =
        without(template, found.iter().filter(|g| g.whose == Whose::Roads || g.label == Label::Enforces));
    if found.iter().any(|g| g.label == Label::Enforces) {
        views.without_ownerless = without(template, found.iter().filter(|g| g.ownerless || g.label == Label::Enforces));
    }
    for gap in found {
        let leaf = &gap.road.leaf;
        gap.held = holds(&held(leaf), Sight::MAYBE, &views, gap.at());
        let Some(wish) = gap.wish else { continue };
        if views.skips.contains(&wish.default) {
            gap.label = Label::Skips;
        }
        let yields = |sight| holds(&yields(leaf, wish, road), sight, &views, gap.at());
        let refused = || holds(&refused(leaf, &wish.value), Sight::MAYBE, &views, gap.at());
        gap.yields = match gap.whose {
            Whose::Teams => false,
            Whose::Nobodys => yields(Sight::MAYBE),
            // another literal of the road is written anew
            Whose::Roads => yields(Sight::SURELY) || (gap.current.as_ref() != Some(&wish.value) && refused()),
        };
    }
}

/// Whether another value stands where a default forbids it, and the API server would take the road's.
fn label(gap: &Gap<'_>, views: &Views) -> Label {
    let Some((wish, current)) = gap.wish.filter(|wish| wish.forbidden).zip(gap.current.as_ref()) else {
        return Label::Nothing;
    };
    let refused = || holds(&refused(&gap.road.leaf, &wish.value), Sight::PLAIN, views, gap.at());
    let is_other = *current != wish.value && !views.skips.contains(&wish.default);
    if is_other && !refused() { Label::Enforces } else { Label::Nothing }
}

fn without<'g, 'r: 'g>(template: &Value, gaps: impl Iterator<Item = &'g Gap<'r>>) -> Value {
    let mut view = template.clone();
    for gap in gaps {
        if let Some(root) = root_mut(&mut view, gap.road.leaf.place, gap.at().map(|(_, index)| index)) {
            take(root, &gap.road.leaf);
        }
    }
    view
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

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::plan::leaf::EntryKey;
    use crate::plan::pod_template::road;

    const KIND: WorkloadKind = WorkloadKind::Deployment;
    const LIMITS: &str = r#"{"name":"db","resources":{"limits":{"memory":"?"}}}"#;
    const REQUESTS: &str = r#"{"name":"db","resources":{"requests":{"memory":"?"}}}"#;
    const BOTH: &str = r#"{"name":"db","resources":{"limits":{"memory":"?"},"requests":{"memory":"?"}}}"#;

    /// A workload with one container. `kubectl apply` wrote `last`, and `owned` is what managers own of the pod spec.
    fn workload(last: &str, owned: &Value, pod: &Value) -> Value {
        json!({
            "metadata": {
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last},
                "managedFields": [{"manager": "team", "operation": "Apply", "fieldsV1": {
                    "f:spec": {"f:template": {"f:spec": owned}},
                }}],
            },
            "spec": {"template": {"spec": pod}},
        })
    }

    fn in_app(owned: &Value) -> Value {
        json!({"f:containers": {"k:{\"name\":\"app\"}": owned}})
    }

    /// The template after one acting request, which must be the template after two of them.
    fn settled(object: &Value, road: &Road) -> Value {
        let once = filled(KIND, object, &gaps(KIND, object, road));
        let mut again = object.clone();
        again["spec"]["template"] = once.clone();
        assert_eq!(filled(KIND, &again, &gaps(KIND, &again, road)), once, "a second acting request changes nothing");
        once
    }

    fn memory(request: Option<&str>, limit: Option<&str>) -> Value {
        let map = |quantity: Option<&str>| quantity.map(|q| json!({"memory": q}));
        let maps = [("requests", map(request)), ("limits", map(limit))];
        Value::Object(maps.into_iter().filter_map(|(name, map)| Some((name.to_owned(), map?))).collect())
    }

    /// The road had filled a request. Then `kubectl apply` wrote limits, and maybe a request of another container.
    #[rstest]
    #[case::only_the_limit_was_applied(LIMITS, "256Mi", Whose::Roads, None)]
    #[case::refused(BOTH, "64Mi", Whose::Roads, None)]
    #[case::allowed(BOTH, "256Mi", Whose::Teams, Some("128Mi"))]
    fn a_value_that_kubectl_may_have_applied_is_the_teams_unless_the_server_would_refuse_it(
        #[case] last: &str,
        #[case] limit: &str,
        #[case] whose: Whose,
        #[case] request: Option<&str>,
    ) {
        let road = road(&json!({"spec": {"containers": [
            {"name": "*", "resources": {"requests": {"memory": "128Mi"}}},
        ]}}));
        let owned = in_app(&json!({"f:resources": {"f:limits": {"f:memory": {}}}}));
        let resources = memory(Some("128Mi"), Some(limit));
        let object = workload(last, &owned, &json!({"containers": [{"name": "app", "resources": resources}]}));
        assert_eq!(gaps(KIND, &object, &road)[0].whose, whose);
        let after = settled(&object, &road);
        assert_eq!(after["spec"]["containers"][0]["resources"], memory(request, Some(limit)), "no husk");
    }

    /// Whatever container `kubectl apply` wrote a memory request or limit of: values of the road that stand, stay.
    /// Beside a value that may be the team's none comes.
    #[rstest]
    #[case::clear("", None, None, Some("128Mi"), Some("256Mi"))]
    #[case::clear_limit("", None, Some("256Mi"), Some("128Mi"), Some("256Mi"))]
    #[case::nothing_yet(LIMITS, None, None, Some("128Mi"), Some("256Mi"))]
    #[case::own_limit_beside(LIMITS, Some("128Mi"), Some("256Mi"), Some("128Mi"), Some("256Mi"))]
    #[case::request_first(LIMITS, Some("128Mi"), None, Some("128Mi"), Some("256Mi"))]
    #[case::limit_may_be_the_teams(LIMITS, None, Some("256Mi"), None, Some("256Mi"))]
    #[case::own_request_beside(REQUESTS, Some("128Mi"), Some("256Mi"), Some("128Mi"), Some("256Mi"))]
    #[case::request_may_be_the_teams(REQUESTS, Some("128Mi"), None, Some("128Mi"), Some("256Mi"))]
    #[case::both_may_be_the_teams(BOTH, Some("128Mi"), Some("256Mi"), Some("128Mi"), Some("256Mi"))]
    // of the revision before: 512Mi and 1Gi
    #[case::both_replaced("", Some("512Mi"), Some("1Gi"), Some("128Mi"), Some("256Mi"))]
    #[case::request_replaced(LIMITS, Some("512Mi"), Some("1Gi"), Some("128Mi"), Some("1Gi"))]
    #[case::limit_would_be_refused(REQUESTS, Some("512Mi"), Some("1Gi"), Some("512Mi"), None)]
    fn request_and_limit_of_the_road_do_not_drive_each_other_out(
        #[case] last: &str,
        #[case] request: Option<&str>,
        #[case] limit: Option<&str>,
        #[case] request_after: Option<&str>,
        #[case] limit_after: Option<&str>,
    ) {
        let revision = |request: &str, limit: &str| {
            road(&json!({"spec": {"containers": [
                {"name": "*", "resources": {"requests": {"memory": request}, "limits": {"memory": limit}}},
            ]}}))
        };
        let mut road = revision("128Mi", "256Mi");
        road.remember(&revision("512Mi", "1Gi"));
        let app = json!({"name": "app", "resources": memory(request, limit)});
        let object = workload(last, &in_app(&json!({"f:name": {}})), &json!({"containers": [app]}));
        let after = settled(&object, &road);
        assert_eq!(after["spec"]["containers"][0]["resources"], memory(request_after, limit_after));
    }

    /// What is not there may be missed only where it surely is: the limit leans on a request that may be the road's.
    #[rstest]
    #[case::nothing_yet(None, None, None)]
    #[case::none_comes(Some("128Mi"), None, None)]
    #[case::none_goes(Some("128Mi"), Some("256Mi"), Some("256Mi"))]
    fn a_limit_that_leans_on_a_request_of_an_older_revision_is_sure_of_it(
        #[case] request: Option<&str>,
        #[case] limit: Option<&str>,
        #[case] limit_after: Option<&str>,
    ) {
        let revision =
            |resources: Value| road(&json!({"spec": {"containers": [{"name": "*", "resources": resources}]}}));
        let mut road = revision(json!({"limits": {"memory": "256Mi"}}));
        road.remember(&revision(json!({"requests": {"memory": "128Mi"}})));
        let app = json!({"name": "app", "resources": memory(request, limit)});
        let object = workload(REQUESTS, &in_app(&json!({"f:name": {}})), &json!({"containers": [app]}));
        let after = settled(&object, &road);
        assert_eq!(after["spec"]["containers"][0]["resources"], memory(request, limit_after));
    }

    /// A port's own name does not contradict it.
    #[test]
    fn a_named_port_that_kubectl_may_have_applied_is_the_teams() {
        let port = json!({"name": "http", "containerPort": 8080, "protocol": "TCP"});
        let road = road(&json!({"spec": {"containers": [{"name": "*", "ports": [port]}]}}));
        let key = EntryKey(vec![("containerPort".into(), "8080".into()), ("protocol".into(), "\"TCP\"".into())]);
        assert_eq!(road.0[0].leaf.entry, Some(key));
        let pod = json!({"containers": [{"name": "app", "ports": [port]}]});
        let whose = |last| {
            let object = workload(last, &in_app(&json!({"f:name": {}})), &pod);
            gaps(KIND, &object, &road)[0].whose
        };
        assert_eq!(whose(r#"{"ports":[{"containerPort":8080,"name":"http"}]}"#), Whose::Teams);
        assert_eq!(whose("{}"), Whose::Roads);
    }

    /// The API server drops these, and the manager that applied them still owns the field.
    #[rstest]
    #[case::list("tolerations", json!([{"operator": "Exists"}]))]
    #[case::map("nodeSelector", json!({"disk": "ssd"}))]
    #[case::text("hostname", json!("one"))]
    #[case::truth("hostIPC", json!(true))]
    fn an_owned_empty_value_is_the_teams(#[case] field: &str, #[case] value: Value) {
        let mut road = Road::default();
        let leaf = Leaf { path: vec![field.to_owned()], ..Leaf::default() };
        road.wish(leaf, None, Wish { default: "d".into(), value: value.clone(), forbidden: false }).unwrap();
        let of =
            |owned: Value| settled(&workload("", &owned, &json!({"containers": []})), &road)["spec"][field].clone();
        assert_eq!(of(json!({(format!("f:{field}")): {}})), Value::Null);
        assert_eq!(of(json!({"f:containers": {}})), value);
    }

    /// In a list with keys or a struct that is filled field by field, an owner of nothing but the empty whole has left
    /// every place in it open.
    #[rstest]
    #[case::list(json!({"env": [{"name": "TZ", "value": "UTC"}]}), json!({"f:env": {}}))]
    #[case::map(json!({"resources": {"requests": {"cpu": "100m"}}}), json!({"f:resources": {"f:requests": {}}}))]
    #[case::record(json!({"securityContext": {"privileged": false}}), json!({"f:securityContext": {}}))]
    fn an_owned_empty_whole_leaves_its_places_open(#[case] fills: Value, #[case] owned: Value) {
        let mut container = fills.clone();
        container["name"] = json!("*");
        let road = road(&json!({"spec": {"containers": [container]}}));
        let object = workload("", &in_app(&owned), &json!({"containers": [{"name": "app"}]}));
        let mut app = fills;
        app["name"] = json!("app");
        let mut expected = json!({"spec": {"containers": [app]}});
        normalise(&mut expected);
        assert_eq!(settled(&object, &road), expected);
    }
}

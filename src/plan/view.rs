//! A pod template as guards see it: with and without the values that are, or may be, the road's.

use std::cmp::Ordering;

use serde_json::Value;

use super::guard::{At, Condition, Sight, Without};
use super::leaf::Place;
use super::metadata::label;
use crate::api::labels;
use crate::cel::compare_quantities;

/// The same template three times.
#[derive(Clone, Debug)]
pub struct Views {
    /// As it stands.
    pub whole: Value,
    /// Without the road's values.
    pub without_roads: Value,
    /// Without literals of the road that no manager owns: those may be the road's.
    pub without_ownerless: Value,
    /// Defaults that the workload does without.
    pub skips: Vec<String>,
}

/// What the labels of a workload say about a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Nothing.
    Nothing,
    /// The workload does without it.
    Skips,
    /// The road's value goes before the team's own, which the default forbids.
    Enforces,
}

/// The defaults that a workload does without, by its labels.
#[must_use]
pub fn skips(object: &Value) -> Vec<String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    labels
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| Some(name.strip_prefix(labels::SKIP_PREFIX)?.to_owned()))
        .collect()
}

/// Whether values that a default forbids to change are replaced on a workload, by its labels.
#[must_use]
pub fn enforces(object: &Value) -> bool {
    label(object, labels::MODE) == Some("Enforce")
}

impl Views {
    fn get(&self, without: Without) -> &Value {
        match without {
            Without::Nothing => &self.whole,
            Without::Roads => &self.without_roads,
            Without::Ownerless => &self.without_ownerless,
        }
    }

    fn root(&self, at: At, without: Without, container: Option<(Place, usize)>) -> Option<&Value> {
        let spec = self.get(without).get("spec")?;
        match at {
            At::Pod => Some(spec),
            At::Container => {
                let (place, index) = container?;
                spec.get(place.list()?)?.get(index)
            }
        }
    }

    /// Every container and init container.
    fn containers(&self) -> impl Iterator<Item = (Place, usize)> {
        [Place::Containers, Place::InitContainers].into_iter().flat_map(|place| {
            let list = place.list().and_then(|list| self.whole.get("spec")?.get(list)?.as_array());
            (0..list.map_or(0, Vec::len)).map(move |index| (place, index))
        })
    }
}

/// Evaluates a condition on a template. `container` is the one being filled.
#[must_use]
pub fn holds(condition: &Condition, sight: Sight, views: &Views, container: Option<(Place, usize)>) -> bool {
    let root = |at: At| views.root(at, sight.standing, container);
    let get = |at: At, path: &[&str]| path.iter().try_fold(root(at)?, |v, name| v.get(name));
    match condition {
        Condition::Any(all) => all.iter().any(|c| holds(c, sight, views, container)),
        Condition::Not(inner) => !holds(inner, sight.negated(), views, container),
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
        Condition::LessThan(at, path, limit) => get(*at, path).and_then(Value::as_i64).is_some_and(|n| n < *limit),
        Condition::InAnyContainer(inner) => views.containers().any(|c| holds(inner, sight, views, Some(c))),
        Condition::Skips(default) => views.skips.contains(default),
        Condition::Annotated(prefix) => views
            .whole
            .pointer("/metadata/annotations")
            .and_then(Value::as_object)
            .is_some_and(|a| a.keys().any(|k| k.starts_with(prefix))),
    }
}

fn compare(map: Option<&Value>, name: &str, limit: &str) -> Option<Ordering> {
    compare_quantities(map?.get(name)?.as_str()?, limit)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// `hostNetwork` is the team's, `hostPID` may be the road's, `hostIPC` is.
    fn views() -> Views {
        let of = |fields: Value| json!({"spec": fields});
        Views {
            whole: of(json!({"hostNetwork": true, "hostPID": true, "hostIPC": true})),
            without_roads: of(json!({"hostNetwork": true, "hostPID": true})),
            without_ownerless: of(json!({"hostNetwork": true})),
            skips: Vec::new(),
        }
    }

    #[rstest]
    #[case::the_teams("hostNetwork", [true, true], [false, false])]
    #[case::either_ones("hostPID", [true, false], [true, false])]
    #[case::the_roads("hostIPC", [false, false], [true, true])]
    #[case::nobodys("hostUsers", [false, false], [true, true])]
    fn what_may_be_the_teams_may_stand_and_may_be_missing(
        #[case] field: &'static str,
        #[case] has: [bool; 2],
        #[case] lacks: [bool; 2],
    ) {
        let has_it = Condition::Has(At::Pod, vec![field]);
        let lacks_it = Condition::Not(Box::new(has_it.clone()));
        let both = |c: &Condition| [Sight::MAYBE, Sight::SURELY].map(|sight| holds(c, sight, &views(), None));
        assert_eq!((both(&has_it), both(&lacks_it)), (has, lacks));
    }
}

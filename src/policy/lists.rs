//! Entries of keyed lists. They are changed by index: the API server cannot put an entry that it read into a JSONPatch
//! (`type conversion error from struct type v1.HostAlias to *structpb.Value`), so no list can be written anew.

use super::cel_text::{any, optional};
use super::guard_text::entry_matches;
use super::leaves::{Variable, comes, is_leaving, leaves, operation, root, value, wish};
use super::names::{Names, Parent};
use crate::plan::leaf::{Leaf, Place};

fn list(place: Place, path: &[String]) -> String {
    format!("{}.orValue([])", optional(root(place), path.iter().map(String::as_str)))
}

/// The index of an entry that is there.
pub fn index_of(leaf: &Leaf) -> String {
    let matches = leaf.entry.as_ref().map(|key| entry_matches("e", key)).unwrap_or_default();
    format!("{}.transformList(j, e, {matches}, j)[0]", list(leaf.place, &leaf.path))
}

/// One variable a list: the indexes of the entries that leave, ascending.
pub fn variables(names: &Names<'_>) -> Vec<Variable> {
    let lists = names.parents.iter().enumerate().filter(|(_, p)| p.list);
    lists
        .map(|(n, parent)| {
            let going = any(parent.leaves.iter().filter_map(|l| {
                let key = names.leaves[*l].leaf.entry.as_ref()?;
                Some(format!("({} && {})", entry_matches("e", key), leaves(*l, names)))
            }));
            let indexes = format!(
                "{}.transformList(j, e, {going} && !({}), j)",
                list(parent.place, parent.path),
                is_leaving(n, names)
            );
            let expression = match parent.place.list() {
                None => indexes,
                Some(containers) => format!("variables.{containers}.transformList(i, c, {indexes})"),
            };
            Variable { name: format!("leaving{n}"), expression }
        })
        .collect()
}

/// The road's entries that change, then those that leave: each removal shifts the ones after it by one.
pub fn changes(names: &Names<'_>) -> Vec<String> {
    let lists = || names.parents.iter().enumerate().filter(|(_, p)| p.list);
    let replaced = lists().flat_map(|(_, parent)| parent.leaves.iter().map(|l| replace(*l, names)));
    let removed = lists().flat_map(|(n, parent)| (0..parent.leaves.len()).map(move |k| remove(n, parent, k)));
    replaced.flatten().chain(removed).collect()
}

fn replace(n: usize, names: &Names<'_>) -> Option<String> {
    let line = &names.leaves[n];
    let (leaf, comes) = (&line.leaf, comes(n, names));
    let condition = format!("{comes} && {}.hasValue()", value(leaf));
    let suffix = format!("'/' + string({})", index_of(leaf));
    (comes != "false")
        .then(|| operation(leaf.place, &condition, "replace", &leaf.path, &suffix, Some(&wish(&line.wishes))))
}

fn remove(n: usize, parent: &Parent<'_>, k: usize) -> String {
    let container = if parent.place == Place::Pod { "" } else { "[i]" };
    let leaving = format!("variables.leaving{n}{container}");
    let suffix = format!("'/' + string({leaving}[{k}] - {k})");
    operation(parent.place, &format!("{leaving}.size() > {k}"), "remove", parent.path, &suffix, None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::leaf::{EntryKey, Road, Wish};

    fn road(list: &str, entries: &[(&[(&str, &str)], serde_json::Value)]) -> Road {
        let mut road = Road::default();
        for (key, value) in entries {
            let key = key.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let leaf = Leaf { place: Place::Containers, path: vec![list.into()], entry: Some(EntryKey(key)) };
            road.wish(leaf, None, Wish { default: "d".into(), value: value.clone(), forbidden: false }).unwrap();
        }
        road
    }

    #[test]
    fn entries_leave_by_index_and_each_removal_shifts_the_next() {
        let road = road(
            "env",
            &[
                (&[("name", "\"A\"")], json!({"name": "A", "value": "1"})),
                (&[("name", "\"B\"")], json!({"name": "B", "value": "2"})),
            ],
        );
        let names = Names::of(&road);
        let removals: Vec<String> = changes(&names).into_iter().filter(|o| o.contains("'remove'")).collect();
        assert_eq!(removals.len(), 2, "as many as can leave");
        assert!(removals[0].contains("'/env' + '/' + string(variables.leaving0[i][0] - 0)"), "{removals:?}");
        assert!(removals[1].contains("'/env' + '/' + string(variables.leaving0[i][1] - 1)"), "{removals:?}");
    }

    #[test]
    fn keys_of_mixed_type_are_compared_as_dyn() {
        let key = [("containerPort", "80"), ("protocol", "\"TCP\"")];
        let road = road("ports", &[(&key, json!({"containerPort": 80, "protocol": "TCP"}))]);
        let matches = "(dyn(e)[?'containerPort'] == optional.of(80) && dyn(e)[?'protocol'].orValue('TCP') == 'TCP')";
        assert!(index_of(&road.0[0].leaf).contains(matches), "{}", index_of(&road.0[0].leaf));
    }
}

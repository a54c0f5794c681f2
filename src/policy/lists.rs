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
    (comes != "false").then(|| operation(leaf.place, &condition, "replace", &leaf.path, &suffix, Some(&wish(&line.wishes))))
}

fn remove(n: usize, parent: &Parent<'_>, k: usize) -> String {
    let container = if parent.place == Place::Pod { "" } else { "[i]" };
    let leaving = format!("variables.leaving{n}{container}");
    let suffix = format!("'/' + string({leaving}[{k}] - {k})");
    operation(parent.place, &format!("{leaving}.size() > {k}"), "remove", parent.path, &suffix, None)
}

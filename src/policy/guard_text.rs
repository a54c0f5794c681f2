//! Guards as CEL: the conditions of `plan::guard`, printed.

use super::cel_text::{any, literal, optional, string};
use super::names::Names;
use crate::plan::guard::{At, Condition};
use crate::plan::leaf::Place;

/// Prints a condition. `place` is where the leaf lies that is being judged; `c` and `i` are its container and index.
pub fn print(condition: &Condition, place: Place, names: &Names<'_>) -> String {
    let root = |of: At| match of {
        At::Pod => ("variables.spec", Place::Pod),
        At::Container => ("c", place),
    };
    // a value of the road is not there, as far as guards go
    let has = |of: At, path: &[&str]| {
        let (root, place) = root(of);
        let value = optional(root, path.iter().copied());
        match names.leaf_at(place, path) {
            Some(n) => (value.clone(), format!("({value}.hasValue() && !{})", names.roads(n))),
            None => (value.clone(), format!("{value}.hasValue()")),
        }
    };
    let with =
        |path: &[&'static str], name: &str| path.iter().copied().chain([name]).map(str::to_owned).collect::<Vec<_>>();
    match condition {
        Condition::Any(all) => any(all.iter().map(|c| print(c, place, names))),
        Condition::Not(inner) => format!("!{}", parenthesised(&print(inner, place, names))),
        Condition::Has(of, path) => has(*of, path).1,
        Condition::HasEntry(of, path, name) => {
            let path = with(path, name);
            has(*of, &path.iter().map(String::as_str).collect::<Vec<_>>()).1
        }
        Condition::Is(of, path, value) => {
            let (get, has) = has(*of, path);
            format!("({has} && {get}.value() == {})", literal(value))
        }
        Condition::Contains(of, path, members) => {
            let (get, has) = has(*of, path);
            let members: Vec<String> = members.iter().map(|m| string(m)).collect();
            format!("({has} && {get}.value().exists(x, x in [{}]))", members.join(", "))
        }
        Condition::Exceeds(of, path, name, limit) | Condition::Below(of, path, name, limit) => {
            let path = with(path, name);
            let (get, has) = has(*of, &path.iter().map(String::as_str).collect::<Vec<_>>());
            let compared = if matches!(condition, Condition::Below(..)) { "isLessThan" } else { "isGreaterThan" };
            format!("({has} && quantity(string({get}.value())).{compared}(quantity({})))", string(limit))
        }
        Condition::ListHas(of, list, field, value) => {
            let (root, place) = root(*of);
            let roads = any(names.entries_at(place, list).map(|n| {
                let matches =
                    names.leaves[n].leaf.entry.as_ref().map(|key| entry_matches("e", key)).unwrap_or_default();
                format!("({} && {matches})", names.roads(n))
            }));
            let list = optional(root, [*list]);
            let mine = if roads == "false" { String::new() } else { format!(" && !{}", parenthesised(&roads)) };
            format!("{list}.orValue([]).exists(e, e[?{}] == optional.of({}){mine})", string(field), literal(value))
        }
        Condition::InAnyContainer(inner) => any([
            format!("variables.containers.exists(i, c, {})", print(inner, Place::Containers, names)),
            format!("variables.initContainers.exists(i, c, {})", print(inner, Place::InitContainers, names)),
        ]),
        Condition::Annotated(prefix) => {
            let annotations = optional("variables.template", ["metadata", "annotations"]);
            format!("{annotations}.orValue({{}}).exists(k, k.startsWith({}))", string(prefix))
        }
    }
}

/// Whether entry `e` of a keyed list has the key. A port without a protocol is TCP.
///
/// Keys may hold a number and a text: without `dyn` CEL takes the type of the first for that of all.
pub fn entry_matches(e: &str, key: &crate::plan::leaf::EntryKey) -> String {
    let terms: Vec<String> = key
        .0
        .iter()
        .map(|(field, value)| match (field.as_str(), value.trim_matches('"')) {
            ("protocol", protocol) => format!("dyn({e})[?'protocol'].orValue('TCP') == {}", string(protocol)),
            _ => format!("dyn({e})[?{}] == optional.of({})", string(field), json_text(value)),
        })
        .collect();
    if terms.len() == 1 { terms.concat() } else { format!("({})", terms.join(" && ")) }
}

fn json_text(text: &str) -> String {
    literal(&serde_json::from_str(text).unwrap_or(serde_json::Value::Null))
}

pub fn parenthesised(text: &str) -> String {
    format!("({text})")
}

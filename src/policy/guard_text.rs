//! Guards as CEL: the conditions of `plan::guard`, printed.

use super::cel_text::{any, literal, optional, string};
use super::leaves::is_ownerless;
use super::names::Names;
use crate::api::labels;
use crate::plan::guard::{At, Condition, Sight, Without};
use crate::plan::leaf::Place;

/// Whether the value of leaf `n` is one that a condition does not see, where it can be.
fn unseen(n: usize, sight: Sight, names: &Names<'_>) -> Option<String> {
    match sight.standing {
        Without::Nothing => None,
        Without::Roads => Some(names.roads(n)),
        // which values are the road's is being asked
        Without::Ownerless if sight == Sight::BEFORE => Some(is_ownerless(n, names)),
        // mostly it is known that it is the road's
        Without::Ownerless => Some(format!("({} || {})", names.roads(n), is_ownerless(n, names))),
    }
}

/// Prints a condition. `place` is where the leaf lies that is being judged; `c` and `i` are its container and index.
pub fn print(condition: &Condition, sight: Sight, place: Place, names: &Names<'_>) -> String {
    let root = |of: At| match of {
        At::Pod => ("variables.spec", Place::Pod),
        At::Container => ("c", place),
    };
    let has = |of: At, path: &[&str]| {
        let (root, place) = root(of);
        let value = optional(root, path.iter().copied());
        let has = match names.leaf_at(place, path).and_then(|n| unseen(n, sight, names)) {
            Some(unseen) => format!("({value}.hasValue() && !{unseen})"),
            None => format!("{value}.hasValue()"),
        };
        (value, has)
    };
    let has_entry = |of: At, path: &[&'static str], name: &str| {
        let path: Vec<&str> = path.iter().copied().chain([name]).collect();
        has(of, &path)
    };
    match condition {
        Condition::Any(all) => any(all.iter().map(|c| print(c, sight, place, names))),
        Condition::Not(inner) => format!("!{}", parenthesised(&print(inner, sight.negated(), place, names))),
        Condition::Has(of, path) => has(*of, path).1,
        Condition::HasEntry(of, path, name) => has_entry(*of, path, name).1,
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
            let (get, has) = has_entry(*of, path, name);
            let compared = if matches!(condition, Condition::Below(..)) { "isLessThan" } else { "isGreaterThan" };
            format!("({has} && quantity(string({get}.value())).{compared}(quantity({})))", string(limit))
        }
        Condition::LessThan(of, path, limit) => {
            let (get, has) = has(*of, path);
            format!("({has} && {get}.value() < {limit})")
        }
        Condition::ListHas(of, list, field, value) => {
            let (root, place) = root(*of);
            let unseen = any(names.entries_at(place, list).filter_map(|n| {
                let key = names.leaves[n].leaf.entry.as_ref()?;
                Some(format!("({} && {})", unseen(n, sight, names)?, entry_matches("e", key)))
            }));
            let seen = if unseen == "false" { String::new() } else { format!(" && !{}", parenthesised(&unseen)) };
            let is = format!("e[?{}] == optional.of({})", string(field), literal(value));
            format!("{}.orValue([]).exists(e, {is}{seen})", optional(root, [*list]))
        }
        Condition::InAnyContainer(inner) => any([
            format!("variables.containers.exists(i, c, {})", print(inner, sight, Place::Containers, names)),
            format!("variables.initContainers.exists(i, c, {})", print(inner, sight, Place::InitContainers, names)),
        ]),
        Condition::Skips(default) => format!("({} in variables.skips)", string(&labels::skip(default))),
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

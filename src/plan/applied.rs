//! What of an object that the operator applies is in place, what has drifted, and what another manager holds.
//!
//! Read from `managedFields`, which is where the API server itself keeps it: a value that somebody changes leaves the set
//! of whoever applied it. So nothing has to be remembered, values that the server or another admission plugin rewrites
//! are no drift, and the server's own list keys are used without knowing its schema.

use serde_json::{Map, Value};

use super::metadata::{annotation, records};
use super::template::Wanted;
use crate::api::labels;
use crate::cel::compare_quantities;

/// A manager of fields that is not us.
#[derive(Clone, Copy, Debug)]
struct Manager<'a> {
    name: &'a str,
    /// It applies, and will do so again; others have edited once.
    applies: bool,
    fields: &'a Value,
}

/// One value that we want.
struct Held<'a> {
    path: Vec<Step>,
    wanted: &'a Value,
    live: Option<&'a Value>,
    mine: bool,
    others: Vec<Manager<'a>>,
}

/// One step from the object to a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    /// Position in what we want, and how people call it.
    Entry(usize, String),
}

/// A value that another manager holds and that is therefore left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// The field, as people write it.
    pub field: String,
    /// Who holds it.
    pub manager: String,
    /// It was put back once and was changed again.
    pub again: bool,
}

/// What was put back of an object, by field and by who had changed it: once for each content that was applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// The content.
    pub hash: String,
    /// Field and manager.
    pub fields: Vec<(String, String)>,
}

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// What to apply, without what others hold. Nothing when all of it is in place.
    pub apply: Option<Value>,
    /// What that puts back.
    pub puts_back: Vec<(String, String)>,
    /// What is left to others.
    pub contested: Vec<Contested>,
}

/// Compares what is wanted with what stands there. With `autoscaled`, the number of replicas is somebody else's.
#[must_use]
pub fn difference(wanted: &Wanted, live: &Value, before: &PutBack, autoscaled: bool) -> Difference {
    let news = annotation(live, labels::APPLIED) != Some(&wanted.hash);
    let known = |field: &str, manager: &Manager<'_>| {
        before.hash == wanted.hash && before.fields.iter().any(|(f, m)| f == field && m == manager.name)
    };
    let mut object = carried(&wanted.object, live);
    let (mut found, mut drifted, mut left) = (Difference::default(), false, Vec::new());
    for held in held(wanted, live) {
        let field = shown(&held.path);
        let rival = held.others.iter().find(|m| m.applies || (!held.mine && known(&field, m)));
        if held.live.is_some_and(|live| means(held.wanted, live)) {
            drifted |= !held.mine && held.others.is_empty();
        } else if autoscaled && field == "spec.replicas" && held.live.is_some() {
            match held.live.filter(|_| held.others.is_empty()) {
                // nobody else holds it: what we left out would go back to the API server's default
                Some(live) => object["spec"]["replicas"] = live.clone(),
                None => left.push(held.path),
            }
        } else if held.mine && (!news || rival.is_none()) {
            // to be changed now, or rewritten by an admission plugin when it was applied
        } else if let Some(manager) = rival {
            let again = !manager.applies;
            found.contested.push(Contested { field, manager: manager.name.to_owned(), again });
            left.push(held.path);
        } else {
            drifted = true;
            found.puts_back.extend(held.others.iter().map(|m| (field.clone(), m.name.to_owned())));
        }
    }
    if !news && !drifted {
        return Difference { contested: found.contested, ..Difference::default() };
    }
    left.sort();
    left.iter().rev().for_each(|path| leave_out(&mut object, path));
    // another object of that name is not the one that was looked at
    object["metadata"]["uid"] = live.pointer("/metadata/uid").cloned().unwrap_or_default();
    found.apply = Some(object);
    found
}

/// Whether it matters who has the say about replicas: the template sets them, and they stand otherwise.
#[must_use]
pub fn replicas_matter(wanted: &Wanted, live: &Value) -> bool {
    let replicas = |object: &Value| object.pointer("/spec/replicas").cloned();
    replicas(&wanted.object).is_some_and(|wanted| replicas(live) != Some(wanted))
}

/// Every value that is wanted, and who holds what stands in its place.
fn held<'a>(wanted: &'a Wanted, live: &'a Value) -> Vec<Held<'a>> {
    let is_mine = |m: &&Value| m.get("manager") == Some(&labels::FIELD_MANAGER.into()) && is_apply(m);
    let mine = records(live).find(is_mine).and_then(|m| m.get("fieldsV1"));
    let manager = |m: &'a Value| {
        let name = m.get("manager").and_then(Value::as_str).unwrap_or("unknown");
        Some(Manager { name, applies: is_apply(m), fields: m.get("fieldsV1")? })
    };
    // what was filled gives way to what the template says
    let is_rival = |m: &&Value| !is_mine(m) && m.get("manager") != Some(&labels::FALLBACK_MANAGER.into());
    let others: Vec<Manager<'_>> = records(live).filter(is_rival).filter_map(manager).collect();
    let mut all = Vec::new();
    for (part, value) in wanted.object.as_object().into_iter().flatten() {
        if !["apiVersion", "kind"].contains(&part.as_str()) {
            let mut path = vec![Step::Field(part.clone())];
            let key = format!("f:{part}");
            walk(value, live.get(part), mine.and_then(|m| m.get(&key)), &below(&others, &key), &mut path, &mut all);
        }
    }
    all.retain(|held| !is_fixed(&held.path));
    all
}

/// What managers hold below a key.
fn below<'a>(managers: &[Manager<'a>], key: &str) -> Vec<Manager<'a>> {
    managers.iter().filter_map(|m| Some(Manager { fields: m.fields.get(key)?, ..*m })).collect()
}

fn is_apply(entry: &Value) -> bool {
    entry.get("operation") == Some(&"Apply".into())
}

/// The name and the namespace are no fields that anybody owns.
fn is_fixed(path: &[Step]) -> bool {
    matches!(path, [Step::Field(at), Step::Field(name)] if at == "metadata" && ["name", "namespace"].contains(&name.as_str()))
}

/// Labels of ours that the workload was born with or has got since are part of what we applied: left out, they would go.
fn carried(wanted: &Value, live: &Value) -> Value {
    let mut object = wanted.clone();
    let labels = live.pointer("/metadata/labels").and_then(Value::as_object);
    for (name, value) in labels.into_iter().flatten() {
        if labels::is_ours(name) && ![labels::TEMPLATE, labels::TEAM].contains(&name.as_str()) {
            object["metadata"]["labels"][name] = value.clone();
        }
    }
    object
}

/// Finds every value below `wanted`, down to where anybody owns a whole, or nobody owns anything.
fn walk<'a>(
    wanted: &'a Value,
    live: Option<&'a Value>,
    mine: Option<&'a Value>,
    others: &[Manager<'a>],
    path: &mut Vec<Step>,
    found: &mut Vec<Held<'a>>,
) {
    let whole = mine.map_or_else(|| others.is_empty() || others.iter().any(|m| is_whole(m.fields)), is_whole);
    match wanted {
        Value::Object(fields) if !fields.is_empty() && !whole => {
            for (name, value) in fields {
                let key = format!("f:{name}");
                path.push(Step::Field(name.clone()));
                let live = live.and_then(|live| live.get(name));
                walk(value, live, mine.and_then(|m| m.get(&key)), &below(others, &key), path, found);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() && !whole => {
            for (position, item) in items.iter().enumerate() {
                let element = mine.into_iter().chain(others.iter().map(|m| m.fields)).find_map(|f| element(f, item));
                let (key, names) = element.unwrap_or_default();
                let live = live.and_then(|live| live_item(live, &names, item));
                path.push(Step::Entry(position, called(item, position)));
                walk(item, live, mine.and_then(|m| m.get(&key)), &below(others, &key), path, found);
                path.pop();
            }
        }
        _ => found.push(Held { path: path.clone(), wanted, live, mine: mine.is_some(), others: others.to_vec() }),
    }
}

/// A set without members stands for the value as a whole; `.` alone is the place of an entry or a map.
fn is_whole(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

/// The key of a list's entry in a set of fields, `k:{"name":"app"}` or `v:"value"`, and the fields that it is known by.
/// A field of the key that an entry leaves out has the API server's default there (`protocol: TCP`).
fn element(fields: &Value, item: &Value) -> Option<(String, Map<String, Value>)> {
    fields.as_object()?.keys().find_map(|key| {
        if let Some(value) = key.strip_prefix("v:") {
            return (serde_json::from_str::<Value>(value).ok()? == *item).then(|| (key.clone(), Map::new()));
        }
        let names: Map<String, Value> = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
        let same = names.iter().all(|(name, value)| item.get(name).is_none_or(|has| has == value));
        (same && item.is_object()).then_some((key.clone(), names))
    })
}

fn live_item<'a>(live: &'a Value, names: &Map<String, Value>, item: &Value) -> Option<&'a Value> {
    let known = |entry: &&Value| names.iter().all(|(name, value)| entry.get(name) == Some(value));
    live.as_array()?.iter().find(|entry| if names.is_empty() { *entry == item } else { known(entry) })
}

fn called(item: &Value, position: usize) -> String {
    item.get("name").and_then(Value::as_str).map_or_else(|| position.to_string(), ToOwned::to_owned)
}

/// Whether a value says what is wanted: the API server adds defaults, and writes quantities in its own way.
fn means(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            wanted.iter().all(|(name, value)| live.get(name).is_some_and(|live| means(value, live)))
        }
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len() && wanted.iter().zip(live).all(|(wanted, live)| means(wanted, live))
        }
        (Value::String(wanted), Value::String(live)) => {
            wanted == live || compare_quantities(wanted, live) == Some(std::cmp::Ordering::Equal)
        }
        (Value::Number(wanted), Value::String(live)) => {
            compare_quantities(&wanted.to_string(), live) == Some(std::cmp::Ordering::Equal)
        }
        (wanted, live) => wanted == live,
    }
}

fn shown(path: &[Step]) -> String {
    let part = |(position, step): (usize, &Step)| match step {
        Step::Field(name) if name.contains(['.', '/']) => format!("[{name}]"),
        Step::Field(name) if position == 0 => name.clone(),
        Step::Field(name) => format!(".{name}"),
        Step::Entry(_, name) => format!("[{name}]"),
    };
    path.iter().enumerate().map(part).collect()
}

/// Takes a value out, and what would be left empty above it: an empty struct would be owned as such.
fn leave_out(object: &mut Value, path: &[Step]) {
    let Some((first, rest)) = path.split_first() else { return };
    match (first, object) {
        (Step::Field(name), Value::Object(fields)) => {
            let Some(inner) = fields.get_mut(name) else { return };
            leave_out(inner, rest);
            if rest.is_empty() || inner.as_object().is_some_and(Map::is_empty) {
                fields.remove(name);
            }
        }
        (Step::Entry(position, _), Value::Array(items)) if rest.is_empty() && *position < items.len() => {
            items.remove(*position);
        }
        (Step::Entry(position, _), Value::Array(items)) => {
            if let Some(inner) = items.get_mut(*position) {
                leave_out(inner, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;

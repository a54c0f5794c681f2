//! A fix as CEL: what an object is with it, and whether it is old then. A command that would help nobody is not printed.

use serde_json::{Map, Value};

use super::matches::matches;
use crate::api::DeprecationMatch;
use crate::policy::cel_text::{literal, string};
use crate::policy::requests::selects;

/// Whether `object` is old by none of the entries with a merge patch.
pub fn fits<'a>(
    patch: &Map<String, Value>,
    object: &str,
    entries: impl IntoIterator<Item = &'a DeprecationMatch>,
) -> String {
    let is_old = |entry: &DeprecationMatch| {
        let selected = entry.namespace_selector.as_ref().map(selects).unwrap_or_default();
        let terms = [matches(entry, "fixed")].into_iter().chain(selected).collect::<Vec<_>>();
        format!("!({})", terms.join(" && "))
    };
    let holds: Vec<String> = entries.into_iter().map(is_old).collect();
    format!("[{}].all(fixed, {})", merged(object, patch), holds.join("\n && "))
}

/// What a merge patch makes of a value, as RFC 7386 says: its nulls take away, its objects go into what is there, and
/// everything else takes the place of it.
fn merged(value: &str, patch: &Map<String, Value>) -> String {
    let names = patch.keys().map(|key| string(key)).collect::<Vec<_>>().join(", ");
    let set: Vec<_> = patch.iter().filter(|(_, value)| !value.is_null()).collect();
    let set_names = set.iter().map(|(key, _)| string(key)).collect::<Vec<_>>().join(", ");
    let arm = |(key, value): &(&String, &Value)| {
        let made = match value {
            Value::Object(inner) => merged(&format!("b[?{}].orValue(dyn(null))", string(key)), inner),
            other => literal(other),
        };
        format!("k == {} ? dyn({made}) : ", string(key))
    };
    let arms: String = set.iter().map(arm).collect();
    format!(
        "[dyn({value})].map(a, type(a) == map ? a : dyn({{}})).map(b, (b.map(k, k).filter(k, !(k in [{names}])) + \
         [{set_names}]).transformMapEntry(i, k, {{k: {arms}dyn(b[k])}}))[0]"
    )
}

//! The patch that `kubectl apply` computes on the client: what left the manifest goes, what differs from the live object
//! comes.

use serde_json::{Map, Value, json};

/// Merge keys of the lists of a pod. Source: `patchMergeKey` in k8s.io/api/core/v1/types.go.
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers" | "initContainers" | "volumes" | "env" | "claims" | "resourceClaims" => "name",
        "ports" => "containerPort",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "topologySpreadConstraints" => "topologyKey",
        "hostAliases" => "ip",
        _ => return None,
    })
}

/// The patch from `live` to `modified`, with what `original` had and `modified` has not.
pub fn patch(original: &Value, modified: &Value, live: &Value) -> Value {
    let empty = Map::new();
    let fields = |v: &Value| v.as_object().cloned().unwrap_or_default();
    object(original.as_object().unwrap_or(&empty), &fields(modified), live.as_object().unwrap_or(&empty))
}

fn object(original: &Map<String, Value>, modified: &Map<String, Value>, live: &Map<String, Value>) -> Value {
    let mut out = Map::new();
    for (name, new) in modified {
        let (old, here) = (original.get(name), live.get(name));
        match (new, here) {
            (_, Some(here)) if here == new => {}
            (Value::Object(_), Some(Value::Object(_))) => {
                let inner = patch(old.unwrap_or(&Value::Null), new, here.unwrap_or(&Value::Null));
                if inner.as_object().is_some_and(|o| !o.is_empty()) {
                    out.insert(name.clone(), inner);
                }
            }
            (Value::Array(new), Some(Value::Array(here))) if merge_key(name).is_some() => {
                let old = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
                let entries = list(name, old, new, here);
                if !entries.is_empty() {
                    out.insert(name.clone(), json!(entries));
                }
            }
            _ => {
                out.insert(name.clone(), new.clone());
            }
        }
    }
    for name in original.keys().filter(|name| !modified.contains_key(*name)) {
        out.insert(name.clone(), Value::Null);
    }
    Value::Object(out)
}

fn list(name: &str, original: &[Value], modified: &[Value], live: &[Value]) -> Vec<Value> {
    let key = merge_key(name).unwrap_or_default();
    let find = |of: &[Value], entry: &Value| of.iter().find(|e| e.get(key) == entry.get(key)).cloned();
    let mut out = Vec::new();
    for new in modified {
        let Some(here) = find(live, new) else {
            out.push(new.clone());
            continue;
        };
        let mut inner = patch(&find(original, new).unwrap_or_default(), new, &here);
        if let Some(fields) = inner.as_object_mut().filter(|o| !o.is_empty()) {
            fields.insert(key.to_owned(), new[key].clone());
            if name == "volumes" {
                let kept: Vec<&String> = new.as_object().into_iter().flat_map(Map::keys).collect();
                fields.insert("$retainKeys".to_owned(), json!(kept));
            }
            out.push(inner);
        }
    }
    for old in original.iter().filter(|old| find(modified, old).is_none()) {
        out.push(json!({key: old[key], "$patch": "delete"}));
    }
    out
}

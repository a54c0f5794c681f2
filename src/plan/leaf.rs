//! A leaf: the smallest thing that is filled, replaced or removed, and the road: all leaves of a path.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::remnant::Part;

/// Where in a pod spec a leaf lies.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The pod spec itself.
    #[default]
    Pod,
    /// Each container.
    Containers,
    /// An init container, by name.
    InitContainers,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::Pod, Self::Containers, Self::InitContainers];

    /// The field of the pod spec that holds the containers of this place.
    #[must_use]
    pub fn list(self) -> Option<&'static str> {
        match self {
            Self::Pod => None,
            Self::Containers => Some("containers"),
            Self::InitContainers => Some("initContainers"),
        }
    }
}

/// Identity of a leaf within a path.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leaf {
    /// Where it lies.
    pub place: Place,
    /// Field names from the pod spec or the container down.
    pub path: Vec<String>,
    /// Key fields and values, where the leaf is an entry of the keyed list at `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryKey>,
}

/// Key of an entry of a keyed list: field and value as JSON text, in the order of field names as in `fieldsV1`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey(pub Vec<(String, String)>);

impl EntryKey {
    /// The element's name in `fieldsV1`: `k:{"name":"tmp"}`.
    #[must_use]
    pub fn field_element(&self) -> String {
        let members: Vec<String> = self.0.iter().map(|(field, value)| format!("\"{field}\":{value}")).collect();
        format!("k:{{{}}}", members.join(","))
    }

    /// Whether a list entry has this key. A port without a protocol is TCP.
    #[must_use]
    pub fn matches(&self, entry: &Value) -> bool {
        self.0.iter().all(|(field, want)| match entry.get(field) {
            Some(value) => serde_json::from_str::<Value>(want).is_ok_and(|want| want == *value),
            None => field == "protocol" && want == "\"TCP\"",
        })
    }
}

impl Leaf {
    /// The last name of the path, or the key of the entry: what a person would look for in a manifest.
    #[must_use]
    pub fn token(&self) -> String {
        match &self.entry {
            Some(EntryKey(key)) => key.first().map(|(field, value)| format!("\"{field}\":{value}")).unwrap_or_default(),
            None => format!("\"{}\":", self.path.last().map_or("", String::as_str)),
        }
    }

    /// The map of quantities that the leaf is in, `requests` or `limits`. Both have the same names, so a name alone does
    /// not tell them apart in a manifest; but nothing in them has braces, so each ends at the first one that closes.
    #[must_use]
    pub fn quantities(&self) -> Option<&str> {
        let [resources, map, _] = &self.path[..] else { return None };
        (resources == "resources" && matches!(map.as_str(), "requests" | "limits")).then_some(map.as_str())
    }

    /// The field as people write it: `spec.containers[app].resources.requests.cpu`.
    #[must_use]
    pub fn field(&self, container: Option<&str>) -> String {
        let mut parts = vec!["spec".to_owned()];
        parts.extend(self.place.list().map(|list| format!(".{list}[{}]", container.unwrap_or("*"))));
        let quoted = |name: &String| if name.contains(['.', '/']) { format!("['{name}']") } else { format!(".{name}") };
        parts.extend(self.path.iter().map(quoted));
        if let Some(EntryKey(key)) = &self.entry {
            let members: Vec<String> = key.iter().map(|(f, v)| format!("{f}={}", v.trim_matches('"'))).collect();
            parts.push(format!("[{}]", members.join(",")));
        }
        parts.concat()
    }

    /// The value of this leaf in a pod spec or container, to change it.
    pub fn get_mut<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        let at = self.path.iter().try_fold(root, |value, name| value.get_mut(name))?;
        match &self.entry {
            None => Some(at),
            Some(key) => at.as_array_mut()?.iter_mut().find(|entry| key.matches(entry)),
        }
    }

    /// The value of this leaf in a pod spec or container.
    #[must_use]
    pub fn get<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        let at = self.path.iter().try_fold(root, |value, name| value.get(name))?;
        match &self.entry {
            None => Some(at),
            Some(key) => at.as_array()?.iter().find(|entry| key.matches(entry)),
        }
    }
}

/// A value that a default wants in a leaf.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Wish {
    /// Name of the default.
    pub default: String,
    /// The literal, as the API server writes it.
    pub value: Value,
    /// The default says `override: Forbidden`: where the workload is labelled so, the value goes before the team's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forbidden: bool,
}

/// What a path wants in one leaf: for any container, and for containers by name, which win.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// For the pod, or for every container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub any: Option<Wish>,
    /// For the container of that name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, Wish>,
}

impl Wishes {
    /// The wish for a container (any name for the pod).
    #[must_use]
    pub fn for_container(&self, name: &str) -> Option<&Wish> {
        self.named.get(name).or(self.any.as_ref())
    }

    /// Every wish.
    pub fn iter(&self) -> impl Iterator<Item = &Wish> {
        self.any.iter().chain(self.named.values())
    }

    /// Every wish, to change it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Wish> {
        self.any.iter_mut().chain(self.named.values_mut())
    }
}

/// One leaf of a road.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct RoadLeaf {
    /// Which leaf.
    pub leaf: Leaf,
    /// What this revision wants there; empty for a leaf that only an earlier revision filled.
    #[serde(default)]
    pub wishes: Wishes,
    /// Every literal that the path ever filled there, those of `wishes` included.
    #[serde(default)]
    pub formerly: Vec<Value>,
    /// What authors wrote inside these literals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// All leaves that a path fills or ever filled: what one compiled policy acts on. Sorted by leaf.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Road(pub Vec<RoadLeaf>);

impl Road {
    /// Adds a wish. An earlier wish of the same leaf and container is returned and stays.
    pub fn wish(&mut self, leaf: Leaf, container: Option<String>, wish: Wish) -> Result<(), Wish> {
        let at = self.entry(leaf);
        let slot = match container {
            None => &mut at.wishes.any,
            Some(name) => {
                if let Some(earlier) = at.wishes.named.get(&name) {
                    return Err(earlier.clone());
                }
                at.wishes.named.insert(name, wish.clone());
                remember(&mut at.formerly, &wish.value);
                return Ok(());
            }
        };
        if let Some(earlier) = slot {
            return Err(earlier.clone());
        }
        remember(&mut at.formerly, &wish.value);
        *slot = Some(wish);
        Ok(())
    }

    /// What a default fills, by leaf and container.
    #[must_use]
    pub fn literals_of(&self, default: &str) -> BTreeMap<(&Leaf, Option<&str>), &Value> {
        let mut literals = BTreeMap::new();
        for RoadLeaf { leaf, wishes, .. } in &self.0 {
            let named = wishes.named.iter().map(|(name, wish)| (Some(name.as_str()), wish));
            for (container, wish) in wishes.any.iter().map(|wish| (None, wish)).chain(named) {
                if wish.default == default {
                    literals.insert((leaf, container), &wish.value);
                }
            }
        }
        literals
    }

    /// Takes in what another revision of the path ever filled.
    pub fn remember(&mut self, other: &Self) {
        for theirs in &other.0 {
            let mine = self.entry(theirs.leaf.clone());
            for value in &theirs.formerly {
                remember(&mut mine.formerly, value);
            }
            for part in &theirs.parts {
                remember(&mut mine.parts, part);
            }
        }
    }

    /// The same leaves with nothing wanted: what the release policy acts on.
    #[must_use]
    pub fn release(&self) -> Self {
        Self(self.0.iter().map(|l| RoadLeaf { wishes: Wishes::default(), ..l.clone() }).collect())
    }

    /// The leaf's line, if the road has it.
    #[must_use]
    pub fn find(&self, place: Place, path: &[&str]) -> Option<&RoadLeaf> {
        self.0.iter().find(|l| l.leaf.place == place && l.leaf.entry.is_none() && l.leaf.path == path)
    }

    fn entry(&mut self, leaf: Leaf) -> &mut RoadLeaf {
        let at = self.0.partition_point(|l| l.leaf < leaf);
        if self.0.get(at).is_none_or(|l| l.leaf != leaf) {
            self.0.insert(at, RoadLeaf { leaf, ..RoadLeaf::default() });
        }
        &mut self.0[at]
    }
}

pub(super) fn remember<T: Clone + PartialEq>(known: &mut Vec<T>, new: &T) {
    if !known.contains(new) {
        known.push(new.clone());
    }
}

/// Puts `value` at `path`, making parents; an entry replaces the one of its key or goes to the end.
pub(super) fn put(root: &mut Value, leaf: &Leaf, value: &Value) {
    let mut at = root;
    let parents = if leaf.entry.is_some() { &leaf.path[..] } else { &leaf.path[..leaf.path.len().saturating_sub(1)] };
    for (depth, name) in parents.iter().enumerate() {
        let is_list = leaf.entry.is_some() && depth + 1 == leaf.path.len();
        let empty = if is_list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        let Some(object) = at.as_object_mut() else { return };
        let slot = object.entry(name.clone()).or_insert(Value::Null);
        if slot.is_null() {
            *slot = empty;
        }
        at = slot;
    }
    match (&leaf.entry, at) {
        (None, Value::Object(object)) => {
            if let Some(name) = leaf.path.last() {
                object.insert(name.clone(), value.clone());
            }
        }
        (Some(key), Value::Array(entries)) => match entries.iter_mut().find(|e| key.matches(e)) {
            Some(entry) => *entry = value.clone(),
            None => entries.push(value.clone()),
        },
        _ => {}
    }
}

/// Takes the leaf out; parents stay, empty or not.
pub(super) fn take(root: &mut Value, leaf: &Leaf) {
    let depth = if leaf.entry.is_some() { leaf.path.len() } else { leaf.path.len().saturating_sub(1) };
    let Some(parent) = leaf.path[..depth].iter().try_fold(root, |at, name| at.get_mut(name)) else { return };
    match (&leaf.entry, parent) {
        (None, Value::Object(object)) => {
            if let Some(name) = leaf.path.last() {
                object.remove(name);
            }
        }
        (Some(key), Value::Array(entries)) => entries.retain(|entry| !key.matches(entry)),
        _ => {}
    }
}

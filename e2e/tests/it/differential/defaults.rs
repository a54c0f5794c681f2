//! Random roads.

use goldenpath::api::{Override, PathDefault};
use goldenpath::plan::leaf::{Place, Road};
use goldenpath::plan::pod_template::{InvalidDefault, collect};
use serde_json::{Map, Value, json};

use super::catalogue::{Field, PARTNERS, fillable};
use super::random::Random;

/// Names of the defaults that the fields of a path are spread over. The first one has what every workload gets.
pub const DEFAULTS: [&str; 3] = ["generated", "second", "third"];

/// The fields that one path is about, each with the containers that it is for.
pub struct Theme {
    fields: Vec<(Field, &'static str)>,
    /// Which defaults forbid their values to be changed.
    forbidden: [bool; DEFAULTS.len()],
}

impl Theme {
    pub fn random(random: &mut Random) -> Self {
        let all = fillable();
        let mut fields = Vec::new();
        // of fields that look at each other one alone says little
        if random.chance(60) {
            for path in random.pick(&PARTNERS) {
                let at = |f: &&Field| f.path.join(".") == *path;
                let field = all.iter().filter(at).max_by_key(|f| f.place).unwrap().clone();
                let container = if field.place == Place::Pod { "" } else { "*" };
                fields.push((field, container));
            }
        }
        for _ in 0..4 + random.below(12) {
            let field = random.pick(&all).clone();
            let container = match field.place {
                Place::Pod => "",
                _ => *random.pick(&["*", "*", "*", "*", "app", "log", "init", "side"]),
            };
            if field.path.last() == Some(&"volumeMounts") {
                let volumes = all.iter().find(|f| f.path == ["volumes"]).unwrap().clone();
                fields.extend([(volumes.clone(), ""), (volumes, "")]);
            }
            fields.push((field, container));
        }
        let forbidden = DEFAULTS.map(|_| random.chance(25));
        Self { fields, forbidden }
    }

    /// A revision of the path: some of its fields with some of their values.
    pub fn revision(&self, random: &mut Random) -> Road {
        // something that every workload gets, to see that the policy is in force
        let mut templates = DEFAULTS.map(|_| json!({"spec": {}}));
        templates[0]["spec"]["hostAliases"] = json!([{"ip": "10.9.9.9", "hostnames": ["probe"]}]);
        for (n, (field, container)) in self.fields.iter().enumerate() {
            if random.chance(85) {
                // the same field in the same default, whatever the revision
                let at = n * n % DEFAULTS.len();
                add(&mut templates[at]["spec"], field, container, random);
            }
        }
        let mut road = Road::default();
        for (n, template) in templates.iter().enumerate() {
            let permission = if self.forbidden[n] { Override::Forbidden } else { Override::Allowed };
            // two defaults may want the same field: the first one has it
            let _ = take_in(&mut road, DEFAULTS[n], permission, template);
        }
        road
    }
}

/// The road of one default.
pub fn road_of(template: &Value) -> Road {
    let mut road = Road::default();
    take_in(&mut road, DEFAULTS[0], Override::Allowed, template).unwrap();
    road
}

fn take_in(road: &mut Road, name: &str, permission: Override, template: &Value) -> Result<(), InvalidDefault> {
    let pod_template = template.as_object().cloned();
    collect(&PathDefault { name: name.to_owned(), permission, pod_template, ..PathDefault::default() }, road)
}

fn add(spec: &mut Value, field: &Field, container: &str, random: &mut Random) {
    let value = random.pick(&field.values).clone();
    let root = match container {
        "" => spec,
        name => in_list(spec, super::catalogue::place_of(name).list().unwrap(), &[("name", json!(name))]),
    };
    put(root, &field.path, field.keys, value);
}

/// Puts a value at a path, or into the keyed list there.
pub fn put(root: &mut Value, path: &[&str], keys: &[&str], value: Value) {
    let (last, parents) = path.split_last().unwrap();
    let mut at = root;
    for name in parents {
        if !at[*name].is_object() {
            at[*name] = json!({});
        }
        at = &mut at[*name];
    }
    if keys.is_empty() {
        at[*last] = value;
        return;
    }
    let key: Vec<(&str, Value)> = keys.iter().map(|key| (*key, value[*key].clone())).collect();
    *in_list(at, last, &key) = value;
}

/// The entry of a key, made if there is none.
fn in_list<'a>(parent: &'a mut Value, list: &str, key: &[(&str, Value)]) -> &'a mut Value {
    if !parent[list].is_array() {
        parent[list] = json!([]);
    }
    let entries = parent[list].as_array_mut().unwrap();
    let found = entries.iter().position(|entry| key.iter().all(|(k, v)| entry[*k] == *v));
    let at = found.unwrap_or_else(|| {
        let entry: Map<String, Value> = key.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        entries.push(Value::Object(entry));
        entries.len() - 1
    });
    &mut entries[at]
}

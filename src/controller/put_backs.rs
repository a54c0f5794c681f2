//! What was put back of objects that the operator makes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::plan::applied::PutBack;
use crate::plan::metadata::uid;

/// What was put back of objects, by their uid. A restart forgets it: then one edit more is put back.
#[derive(Default)]
pub struct PutBacks(Mutex<HashMap<String, PutBack>>);

/// More than any cluster has objects that people edit by hand; it only bounds the memory.
const MAX_PUT_BACKS: usize = 4096;

impl PutBacks {
    /// What was put back of an object.
    pub fn of(&self, object: &Value) -> PutBack {
        self.all().get(uid(object)).cloned().unwrap_or_default()
    }

    /// Remembers what an apply of the content `hash` has put back.
    pub fn remember(&self, object: &Value, hash: &str, fields: Vec<(String, String)>) {
        if fields.is_empty() {
            return;
        }
        let mut all = self.all();
        if all.len() >= MAX_PUT_BACKS {
            all.clear();
        }
        let known = all.entry(uid(object).to_owned()).or_default();
        if known.hash != hash {
            *known = PutBack { hash: hash.to_owned(), fields: Vec::new() };
        }
        known.fields.extend(fields);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, PutBack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_put_back_is_remembered_for_one_content() {
        let put_backs = PutBacks::default();
        let (object, field) = (json!({"metadata": {"uid": "1"}}), |name: &str| (name.to_owned(), "kubectl".to_owned()));
        put_backs.remember(&object, "a", vec![field("x")]);
        put_backs.remember(&object, "a", vec![field("y")]);
        assert_eq!(put_backs.of(&object), PutBack { hash: "a".to_owned(), fields: vec![field("x"), field("y")] });
        put_backs.remember(&object, "b", vec![field("z")]);
        assert_eq!(put_backs.of(&object).fields, [field("z")]);
        put_backs.remember(&object, "c", vec![]);
        assert_eq!(put_backs.of(&object).hash, "b");
    }
}

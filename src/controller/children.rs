//! Objects beside workloads, as the API server has them: those that the operator made whole, so that a look at them costs
//! no request, and of others only what they are for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::api::labels;
use crate::fleet::Kept;
use crate::plan::companions::{CompanionKind, Other, reach};
use crate::plan::metadata::label;
use crate::plan::template::ObjectKey;

/// What is known about objects beside workloads.
#[derive(Default)]
pub struct Children(Mutex<Known>);

#[derive(Default)]
struct Known {
    rows: BTreeMap<ObjectKey, Row>,
    /// Everything that templates made has been seen.
    has_templates: bool,
    kinds: HashMap<(String, String), Sight>,
}

/// How the watch of a kind stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of its objects have been seen.
    Listed,
    /// It cannot be listed, and why.
    Blind(String),
}

struct Row {
    version: u64,
    /// See [`reach`], as JSON.
    reach: Box<str>,
    since: String,
    made: Option<Made>,
}

/// An object that the operator made.
struct Made {
    service: String,
    /// What the workload is called in its service, where a path asked for the object; nothing where a template did.
    companion_of: Option<String>,
    kept: Kept,
}

/// Who should look again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Concern {
    /// A service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Every service of a namespace: a team's own object has come, gone or turned to other pods.
    Namespace(String),
}

impl Row {
    fn of(key: &ObjectKey, object: &Value) -> Option<Self> {
        let version = object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()?;
        let since = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str).unwrap_or_default();
        let made = match (label(object, labels::TEMPLATE), label(object, labels::COMPANION)) {
            (Some(service), _) => Some((service, None)),
            (None, Some(service)) => Some((service, Some(label(object, labels::COMPANION_OF).unwrap_or_default()))),
            (None, None) => None,
        };
        let made = made.and_then(|(service, of)| {
            let kept = Kept::new(&serde_json::value::to_raw_value(object).ok()?);
            Some(Made { service: service.to_owned(), companion_of: of.map(ToOwned::to_owned), kept })
        });
        let reach = reach(&key.kind, object).to_string().into_boxed_str();
        Some(Self { version, reach, since: since.to_owned(), made })
    }

    fn concerns(&self, namespace: &str) -> Concern {
        let namespace = namespace.to_owned();
        match &self.made {
            Some(made) => Concern::Service { namespace, name: made.service.clone() },
            None => Concern::Namespace(namespace),
        }
    }
}

impl Children {
    /// How the watch of a kind stands; nothing before its first answer.
    pub fn sight(&self, api_version: &str, kind: &str) -> Option<Sight> {
        self.known().kinds.get(&(api_version.to_owned(), kind.to_owned())).cloned()
    }

    /// Whether all that templates made has been seen.
    pub fn has_templates(&self) -> bool {
        self.known().has_templates
    }

    /// All that templates made has been seen.
    pub fn saw_templates(&self) {
        self.known().has_templates = true;
    }

    /// An object that the operator made, as it was seen last.
    pub fn object(&self, key: &ObjectKey) -> Option<Value> {
        self.known().rows.get(key)?.made.as_ref()?.kept.object()
    }

    /// Whether there is an object that the operator did not make.
    pub fn is_foreign(&self, key: &ObjectKey) -> bool {
        self.known().rows.get(key).is_some_and(|row| row.made.is_none())
    }

    /// What was made of the templates of a service.
    pub fn of(&self, namespace: &str, service: &str) -> Vec<ObjectKey> {
        self.made(namespace, service, |made| made.companion_of.is_none())
    }

    /// What paths have asked for beside the workloads of a service.
    pub fn companions_of(&self, namespace: &str, service: &str) -> Vec<ObjectKey> {
        self.made(namespace, service, |made| made.companion_of.is_some())
    }

    fn made(&self, namespace: &str, service: &str, which: impl Fn(&Made) -> bool) -> Vec<ObjectKey> {
        let known = self.known();
        let there = known.rows.range(ObjectKey::of("", "", "", namespace, "")..);
        let mine = there.take_while(|(key, _)| key.namespace == namespace).filter(|(_, row)| {
            let made = row.made.as_ref();
            made.is_some_and(|made| made.service == service && which(made))
        });
        mine.map(|(key, _)| key.clone()).collect()
    }

    /// The objects of a kind in a namespace, without those that were made beside one workload: its service and what it is
    /// called there.
    pub fn others(&self, kind: &CompanionKind, namespace: &str, but: Option<(&str, &str)>) -> Vec<Other> {
        let known = self.known();
        let all = known.rows.range(kind.key(namespace, "")..);
        let of_kind = all.take_while(|(key, _)| {
            key.kind == kind.kind && key.api_version == kind.api_version && key.namespace == namespace
        });
        let is_its = |made: &Made| {
            but.is_some_and(|(service, entry)| made.service == service && made.companion_of.as_deref() == Some(entry))
        };
        of_kind
            .filter(|(_, row)| !row.made.as_ref().is_some_and(is_its))
            .map(|(key, row)| Other {
                name: key.name.clone(),
                reach: serde_json::from_str(&row.reach).unwrap_or_default(),
                companion_since: row.made.as_ref().and(Some(age(&row.since, &key.name))),
            })
            .collect()
    }

    /// Since when there is a companion, to be compared with [`Other::companion_since`].
    pub fn since(&self, key: &ObjectKey) -> Option<String> {
        self.known().rows.get(key).map(|row| age(&row.since, &key.name))
    }

    /// Takes in an object that was watched, read or written. The answer is whom it concerns, if it is news to them.
    pub fn learn(&self, key: &ObjectKey, object: &Value) -> Vec<Concern> {
        let Some(row) = Row::of(key, object) else { return Vec::new() };
        let mut known = self.known();
        let before = known.rows.get(key);
        if before.is_some_and(|before| before.version >= row.version) {
            return Vec::new();
        }
        let mut concerned = HashSet::new();
        let turned =
            before.is_none_or(|before| before.reach != row.reach || before.made.is_some() != row.made.is_some());
        if row.made.is_some() || turned {
            concerned.insert(row.concerns(&key.namespace));
        }
        if let Some(before) = before.filter(|_| turned) {
            concerned.insert(before.concerns(&key.namespace));
        }
        known.rows.insert(key.clone(), row);
        concerned.into_iter().collect()
    }

    /// An object is gone, or is not watched any more. The answer is whom that concerns.
    pub fn forget(&self, key: &ObjectKey) -> Option<Concern> {
        self.known().rows.remove(key).map(|row| row.concerns(&key.namespace))
    }

    /// A list of a kind is complete: what was not in it is gone. The answer is whom that concerns. With `made`, only objects
    /// of templates were listed.
    pub fn complete(&self, kind: &CompanionKind, seen: &HashSet<ObjectKey>, made: bool) -> HashSet<Concern> {
        let mut known = self.known();
        let is_listed = |key: &ObjectKey, row: &Row| {
            let of_template = row.made.as_ref().is_some_and(|made| made.companion_of.is_none());
            key.kind == kind.kind && key.api_version == kind.api_version && (!made || of_template)
        };
        let mut gone = HashSet::new();
        known.rows.retain(|key, row| {
            let stays = !is_listed(key, row) || seen.contains(key);
            if !stays {
                gone.insert(row.concerns(&key.namespace));
            }
            stays
        });
        gone
    }

    /// A watch has answered. The answer is whether that is news.
    pub fn saw(&self, kind: &CompanionKind, sight: Sight) -> bool {
        let key = (kind.api_version.clone(), kind.kind.clone());
        let mut known = self.known();
        // one that was listed goes on with what it has; the next answer brings it up to date
        if matches!((known.kinds.get(&key), &sight), (Some(Sight::Listed), Sight::Blind(_))) {
            return false;
        }
        known.kinds.insert(key, sight.clone()) != Some(sight)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Older ones first; of those that were made in one second, by name.
fn age(since: &str, name: &str) -> String {
    format!("{since} {name}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(labels: &Value, version: u64, app: &str) -> Value {
        let metadata = json!({"resourceVersion": version.to_string(), "labels": labels, "creationTimestamp": "2026"});
        json!({"metadata": metadata, "spec": {"selector": {"app": app}}})
    }

    fn template(version: u64) -> Value {
        object(&json!({labels::TEMPLATE: "cart"}), version, "cart")
    }

    fn companion(version: u64) -> Value {
        object(&json!({labels::COMPANION: "cart", labels::COMPANION_OF: "api"}), version, "cart")
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::service("shop", name)
    }

    fn cart() -> Concern {
        Concern::Service { namespace: "shop".to_owned(), name: "cart".to_owned() }
    }

    fn shop() -> Concern {
        Concern::Namespace("shop".to_owned())
    }

    #[test]
    fn an_older_fact_never_undoes_a_newer_one_and_a_list_tells_what_is_gone() {
        let children = Children::default();
        assert_eq!(children.learn(&key("a"), &template(5)), [cart()]);
        assert_eq!(children.learn(&key("a"), &template(4)), []);
        children.learn(&key("b"), &template(6));
        assert_eq!(children.of("shop", "cart"), [key("a"), key("b")]);
        assert_eq!((children.of("other", "cart"), children.companions_of("shop", "cart")), (vec![], vec![]));
        let gone = children.complete(&CompanionKind::service(), &[key("a")].into(), true);
        assert_eq!(gone, [cart()].into());
        assert!(children.object(&key("b")).is_none() && children.object(&key("a")).is_some());
        assert_eq!(children.forget(&key("a")), Some(cart()));
    }

    #[test]
    fn a_list_of_templates_says_nothing_about_other_objects() {
        let children = Children::default();
        children.learn(&key("a"), &companion(1));
        children.learn(&key("b"), &object(&json!({}), 2, "web"));
        assert_eq!(children.complete(&CompanionKind::service(), &HashSet::new(), true), HashSet::new());
        assert_eq!(children.complete(&CompanionKind::service(), &HashSet::new(), false), [cart(), shop()].into());
    }

    #[test]
    fn a_teams_own_object_concerns_its_namespace_when_it_turns_to_other_pods() {
        let children = Children::default();
        let own = |version: u64, app: &str| object(&json!({}), version, app);
        assert_eq!(children.learn(&key("a"), &own(1, "web")), [shop()]);
        assert_eq!(children.learn(&key("a"), &own(2, "web")), []);
        assert_eq!(children.learn(&key("a"), &own(3, "api")), [shop()]);
        assert!(children.is_foreign(&key("a")));
        // somebody takes our label off
        children.learn(&key("b"), &template(4));
        let mut concerned = children.learn(&key("b"), &own(5, "cart"));
        concerned.sort_by_key(|c| format!("{c:?}"));
        assert_eq!(concerned, [shop(), cart()]);
    }

    #[test]
    fn the_others_of_a_workload_are_all_but_its_own_companions() {
        let children = Children::default();
        children.learn(&key("own"), &object(&json!({}), 1, "web"));
        children.learn(&key("made"), &companion(2));
        let names = |but: Option<(&str, &str)>| -> Vec<String> {
            let others = children.others(&CompanionKind::service(), "shop", but);
            others.into_iter().map(|other| other.name).collect()
        };
        assert_eq!(names(Some(("cart", "api"))), ["own"]);
        for but in [Some(("cart", "web")), Some(("checkout", "api")), None] {
            assert_eq!(names(but), ["made", "own"]);
        }
        assert_eq!(children.since(&key("made")).as_deref(), Some("2026 made"));
    }

    #[test]
    fn a_kind_that_was_listed_stays_so() {
        let (children, kind) = (Children::default(), CompanionKind::service());
        assert_eq!(children.sight("v1", "Service"), None);
        assert!(children.saw(&kind, Sight::Blind("no".into())) && !children.saw(&kind, Sight::Blind("no".into())));
        assert!(children.saw(&kind, Sight::Listed) && !children.saw(&kind, Sight::Blind("no".into())));
        assert_eq!(children.sight("v1", "Service"), Some(Sight::Listed));
    }
}

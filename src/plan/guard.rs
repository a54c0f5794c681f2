//! Never worse than without us: when a leaf is not filled although it is absent, and not removed although it is ours.
//!
//! Each condition is data, so that the pure function evaluates and the compiler prints the very same thing. All of them
//! speak of the team's values. Otherwise two of our leaves could hold each other off.
//!
//! Not of every value can be told whose it is: one that nobody owns and that the road once filled may have been written
//! by the team as well, see [`Sight`]. Unsure means that nothing comes and nothing goes: a value is filled only where no
//! condition against it *may* hold, and leaves only where one *surely* does. With one answer for both, a limit that the
//! road has filled itself would drive out the road's request as soon as it could be the team's, and bring it back when
//! it no longer could.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::leaf::{EntryKey, Leaf, Place, Road, Wish};

/// Where a condition looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The pod spec.
    Pod,
    /// The container that is being filled, or that [`Condition::InAnyContainer`] visits.
    Container,
}

/// A condition on a pod template. The more stands in it, the more conditions hold, but for [`Condition::Not`].
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// At least one holds. Empty: never.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// The field is there.
    Has(At, Vec<&'static str>),
    /// The entry of a map is there.
    HasEntry(At, Vec<&'static str>, String),
    /// The field has this value.
    Is(At, Vec<&'static str>, Value),
    /// The list of texts has one of these.
    Contains(At, Vec<&'static str>, Vec<&'static str>),
    /// An entry of the list has this value in this field.
    ListHas(At, &'static str, &'static str, Value),
    /// The quantity in a map is greater than this one.
    Exceeds(At, Vec<&'static str>, String, String),
    /// The quantity in a map is less than this one.
    Below(At, Vec<&'static str>, String, String),
    /// The number is less than this one.
    LessThan(At, Vec<&'static str>, i64),
    /// A container or init container satisfies it.
    InAnyContainer(Box<Condition>),
    /// An annotation of the pod template begins with this.
    Annotated(&'static str),
    /// The workload does without this default, as one of its labels says.
    Skips(String),
}

/// Which of the values that stand in a template a condition does not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// It sees every value.
    Nothing,
    /// It does not see what is the road's.
    Roads,
    /// It does not see what may be the road's: literals of the road that no manager owns.
    Ownerless,
}

/// How a condition looks at values of which nobody knows whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What counts as standing is in the template without these.
    pub standing: Without,
    /// What counts as missing is not in the template without these.
    pub missing: Without,
}

impl Sight {
    /// Whether a condition may hold: what may be the team's stands, and what may be the road's is missing.
    pub const MAYBE: Self = Self { standing: Without::Roads, missing: Without::Ownerless };
    /// Whether a condition surely holds: only what is surely the team's stands, and what may be the team's is not missing.
    pub const SURELY: Self = Self { standing: Without::Ownerless, missing: Without::Roads };
    /// Whether a condition surely holds, for the decision on which values are the road's: it cannot ask for itself.
    pub const BEFORE: Self = Self { standing: Without::Ownerless, missing: Without::Nothing };

    /// Whether a condition holds of the template as it stands, whosever the values are.
    pub const PLAIN: Self = Self { standing: Without::Nothing, missing: Without::Nothing };

    /// How the inner condition of a [`Condition::Not`] is looked at: it surely does not hold where it may not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { standing: self.missing, missing: self.standing }
    }
}

use Condition::{
    Annotated, Any, Below, Contains, Exceeds, Has, HasEntry, InAnyContainer, Is, LessThan, ListHas, Not, Skips,
};

/// Fields of a container's securityContext that stand in the pod's too: there they are inherited.
const INHERITED: [&str; 7] = [
    "runAsNonRoot",
    "runAsUser",
    "runAsGroup",
    "seLinuxOptions",
    "windowsOptions",
    "seccompProfile",
    "appArmorProfile",
];

/// Fields that a Windows pod may not have.
/// Source: `validateWindows` in the API server's pkg/apis/core/validation.
const LINUX_ONLY: [&str; 17] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "hostUsers",
];

/// The leaf is left open while this may hold, and a value of the road that stands there yields when it surely does.
#[must_use]
pub fn yields(leaf: &Leaf, wish: &Wish, road: &Road) -> Condition {
    let path: Vec<&str> = leaf.path.iter().map(String::as_str).collect();
    let changes = match leaf.place {
        Place::Pod => topology_key(leaf).into_iter().collect(),
        Place::Containers | Place::InitContainers => changes_container(&path, leaf.place, &wish.value, road),
    };
    let skips = Skips(wish.default.clone());
    Any([skips].into_iter().chain(refusals(&path, leaf, &wish.value)).chain(changes).collect())
}

/// The API server refuses the value while this holds, or the kubelet does not start the container: nobody can have meant
/// it, whatever a manifest says.
#[must_use]
pub fn refused(leaf: &Leaf, value: &Value) -> Condition {
    let path: Vec<&str> = leaf.path.iter().map(String::as_str).collect();
    Any(refusals(&path, leaf, value))
}

fn refusals(path: &[&str], leaf: &Leaf, value: &Value) -> Vec<Condition> {
    let mut when = match leaf.place {
        Place::Pod => pod(path, value),
        Place::Containers | Place::InitContainers => container(path, leaf.place, value),
    };
    let name = path.iter().copied().find(|n| *n != "securityContext").unwrap_or_default();
    if LINUX_ONLY.contains(&name) || (leaf.place == Place::Pod && name == "shareProcessNamespace") {
        when.push(Is(At::Pod, vec!["os", "name"], json!("windows")));
    }
    if name == "windowsOptions" {
        when.push(Is(At::Pod, vec!["os", "name"], json!("linux")));
    }
    when.extend(annotation(name, leaf.place).map(Annotated));
    when
}

/// Beginning of the annotation of the pod template that says the same in an older way: both must agree.
fn annotation(name: &str, place: Place) -> Option<&'static str> {
    match (name, place) {
        ("appArmorProfile", _) => Some("container.apparmor.security.beta.kubernetes.io/"),
        ("seccompProfile", Place::Pod) => Some("seccomp.security.alpha.kubernetes.io/pod"),
        ("seccompProfile", _) => Some("container.seccomp.security.alpha.kubernetes.io/"),
        _ => None,
    }
}

/// A value of the road stays while this may hold: the team leans on it, and the API server would refuse it gone.
#[must_use]
pub fn held(leaf: &Leaf) -> Condition {
    let path: Vec<&str> = leaf.path.iter().map(String::as_str).collect();
    match (leaf.place, &path[..], &leaf.entry) {
        (Place::Pod, ["volumes"], Some(EntryKey(key))) => {
            let name = key.first().and_then(|(_, text)| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
            Any(vec![
                InAnyContainer(Box::new(ListHas(At::Container, "volumeMounts", "name", name.clone()))),
                InAnyContainer(Box::new(ListHas(At::Container, "volumeDevices", "name", name))),
            ])
        }
        (Place::Pod, ["hostUsers"], _) => {
            InAnyContainer(Box::new(Is(At::Container, vec!["securityContext", "procMount"], json!("Unmasked"))))
        }
        _ => Any(Vec::new()),
    }
}

fn pod(path: &[&str], value: &Value) -> Vec<Condition> {
    let root_user = || Is(At::Container, vec!["securityContext", "runAsUser"], json!(0));
    let unmasked = || Is(At::Container, vec!["securityContext", "procMount"], json!("Unmasked"));
    let any = |c: Condition| InAnyContainer(Box::new(c));
    match path {
        ["securityContext", "runAsNonRoot"] if *value == json!(true) => {
            vec![Is(At::Pod, vec!["securityContext", "runAsUser"], json!(0)), any(root_user())]
        }
        ["securityContext", "runAsUser"] if *value == json!(0) => vec![
            Is(At::Pod, vec!["securityContext", "runAsNonRoot"], json!(true)),
            any(Is(At::Container, vec!["securityContext", "runAsNonRoot"], json!(true))),
        ],
        ["securityContext", "sysctls"] => {
            vec![Is(At::Pod, vec!["hostNetwork"], json!(true)), Is(At::Pod, vec!["hostIPC"], json!(true))]
        }
        ["hostUsers"] if *value == json!(false) => vec![
            Is(At::Pod, vec!["hostNetwork"], json!(true)),
            Is(At::Pod, vec!["hostPID"], json!(true)),
            Is(At::Pod, vec!["hostIPC"], json!(true)),
            any(Has(At::Container, vec!["volumeDevices"])),
        ],
        ["hostUsers"] => vec![any(unmasked())],
        ["shareProcessNamespace"] if *value == json!(true) => vec![Is(At::Pod, vec!["hostPID"], json!(true))],
        ["setHostnameAsFQDN"] => vec![Has(At::Pod, vec!["hostnameOverride"])],
        _ => Vec::new(),
    }
}

/// Two constraints on one key would be stricter than the one that the team chose.
fn topology_key(leaf: &Leaf) -> Option<Condition> {
    if leaf.path != ["topologySpreadConstraints"] {
        return None;
    }
    let EntryKey(key) = leaf.entry.as_ref()?;
    let (_, text) = key.iter().find(|(field, _)| field == "topologyKey")?;
    Some(ListHas(At::Pod, "topologySpreadConstraints", "topologyKey", serde_json::from_str(text).ok()?))
}

fn container(path: &[&str], place: Place, value: &Value) -> Vec<Condition> {
    let mut when = match path {
        ["resources", "requests", name] => {
            text(value, |v| Below(At::Container, vec!["resources", "limits"], (*name).to_owned(), v))
        }
        ["resources", "limits", name] => {
            text(value, |v| Exceeds(At::Container, vec!["resources", "requests"], (*name).to_owned(), v))
        }
        ["securityContext", field, ..] => security_context(field, path, value),
        ["ports"] => {
            let same_name = value.get("name").map(|name| ListHas(At::Container, "ports", "name", name.clone()));
            [Is(At::Pod, vec!["hostNetwork"], json!(true))].into_iter().chain(same_name).collect()
        }
        ["volumeMounts"] => vec![Has(At::Container, vec!["volumeDevices"])],
        ["lifecycle", "stopSignal"] => vec![Not(Box::new(Has(At::Pod, vec!["os", "name"])))],
        ["lifecycle", _] => value
            .pointer("/sleep/seconds")
            .and_then(Value::as_i64)
            .map(|seconds| LessThan(At::Pod, vec!["terminationGracePeriodSeconds"], seconds))
            .into_iter()
            .collect(),
        ["resizePolicy"] if restarts(value) => vec![Is(At::Pod, vec!["restartPolicy"], json!("Never"))],
        _ => Vec::new(),
    };
    let only_sidecars = match path {
        ["livenessProbe" | "readinessProbe" | "startupProbe" | "lifecycle", ..] => true,
        ["resizePolicy"] => restarts(value),
        _ => false,
    };
    if place == Place::InitContainers && only_sidecars {
        when.push(Not(Box::new(Is(At::Container, vec!["restartPolicy"], json!("Always")))));
    }
    when
}

/// A `resizePolicy` that restarts the container.
fn restarts(policies: &Value) -> bool {
    policies
        .as_array()
        .into_iter()
        .flatten()
        .any(|policy| policy.get("restartPolicy") == Some(&json!("RestartContainer")))
}

fn text(value: &Value, condition: impl Fn(String) -> Condition) -> Vec<Condition> {
    value.as_str().map(|v| condition(v.to_owned())).into_iter().collect()
}

/// The API server would accept the value, and the container would be another one than its team wrote.
fn changes_container(path: &[&str], place: Place, value: &Value, road: &Road) -> Vec<Condition> {
    match path {
        ["resources", rest @ ..] => resources(rest, place, road),
        ["securityContext", field, ..] => {
            let inherited = INHERITED.iter().find(|name| *name == field);
            let inherited = inherited.map(|name| Has(At::Pod, vec!["securityContext", name]));
            inherited.into_iter().chain(capabilities(path, value)).collect()
        }
        ["env"] => vec![Has(At::Container, vec!["envFrom"])],
        ["volumeMounts"] => without_volume(value, road),
        _ => Vec::new(),
    }
}

/// Who adds capabilities means to use them. Runtimes take dropped ones away after adding, so that a filled `drop` could
/// undo an `add`; and for a user other than root an added capability comes into force only by a file that carries it,
/// which `allowPrivilegeEscalation: false` switches off (capabilities(7), `PR_SET_NO_NEW_PRIVS`). A privileged container
/// has all of them, a `drop` would take some away.
fn capabilities(path: &[&str], value: &Value) -> Vec<Condition> {
    let adds = || Has(At::Container, vec!["securityContext", "capabilities", "add"]);
    let privileged = || Is(At::Container, vec!["securityContext", "privileged"], json!(true));
    match path {
        ["securityContext", "capabilities", "drop"] => vec![adds(), privileged()],
        ["securityContext", "allowPrivilegeEscalation"] if *value == json!(false) => vec![adds()],
        _ => Vec::new(),
    }
}

/// Pods copy limits into absent requests, so that a request beside a limit would lower it; and a limit alone would raise
/// the request. Where the pod level speaks, the containers are left alone.
fn resources(rest: &[&str], place: Place, road: &Road) -> Vec<Condition> {
    let own = |map: &'static str, name: &str| HasEntry(At::Container, vec!["resources", map], name.to_owned());
    let alone = match rest {
        ["requests", name] => vec![own("limits", name)],
        ["limits", name] => {
            let request = road.find(place, &["resources", "requests", name]);
            lacks(&own("requests", name), request.into_iter().flat_map(|line| line.wishes.iter()))
        }
        _ => Vec::new(),
    };
    [Has(At::Pod, vec!["resources"])].into_iter().chain(alone).collect()
}

/// What is needed is not there, and none of these wishes brings it: there are none, or the workload does without one.
fn lacks<'a>(needed: &Condition, brought_by: impl Iterator<Item = &'a Wish>) -> Vec<Condition> {
    let not = |condition: Condition| Not(Box::new(condition));
    let defaults: BTreeSet<&str> = brought_by.map(|wish| wish.default.as_str()).collect();
    if defaults.is_empty() {
        return vec![not(needed.clone())];
    }
    // first what is almost never so: nobody looks at the rest then
    let unless_it_comes = |default: &str| not(Any(vec![not(Skips(default.to_owned())), needed.clone()]));
    defaults.into_iter().map(unless_it_comes).collect()
}

fn security_context(field: &str, path: &[&str], value: &Value) -> Vec<Condition> {
    let own = |name: &'static str, value: Value| Is(At::Container, vec!["securityContext", name], value);
    let pods = |name: &'static str, value: Value| Is(At::Pod, vec!["securityContext", name], value);
    let sys_admin =
        || Contains(At::Container, vec!["securityContext", "capabilities", "add"], vec!["SYS_ADMIN", "CAP_SYS_ADMIN"]);
    match (field, value) {
        ("runAsNonRoot", Value::Bool(true)) => vec![own("runAsUser", json!(0)), pods("runAsUser", json!(0))],
        ("runAsUser", user) if *user == json!(0) => {
            vec![own("runAsNonRoot", json!(true)), pods("runAsNonRoot", json!(true))]
        }
        ("allowPrivilegeEscalation", Value::Bool(false)) => vec![own("privileged", json!(true)), sys_admin()],
        ("privileged", Value::Bool(true)) => vec![own("allowPrivilegeEscalation", json!(false))],
        ("capabilities", Value::Array(names)) if path.last() == Some(&"add") => {
            let is_admin = names.iter().filter_map(Value::as_str).any(|n| n.ends_with("SYS_ADMIN"));
            is_admin.then(|| own("allowPrivilegeEscalation", json!(false))).into_iter().collect()
        }
        ("procMount", mount) if *mount == json!("Unmasked") => {
            vec![Not(Box::new(Is(At::Pod, vec!["hostUsers"], json!(false))))]
        }
        _ => Vec::new(),
    }
}

/// A mount needs its volume; the road's own volume counts only when this revision brings it.
fn without_volume(value: &Value, road: &Road) -> Vec<Condition> {
    let Some(name) = value.get("name").filter(|n| n.is_string()) else { return Vec::new() };
    let key = EntryKey(vec![("name".into(), name.to_string())]);
    let volume = road
        .0
        .iter()
        .find(|l| l.leaf.place == Place::Pod && l.leaf.path == ["volumes"] && l.leaf.entry.as_ref() == Some(&key));
    lacks(&ListHas(At::Pod, "volumes", "name", name.clone()), volume.into_iter().flat_map(|l| l.wishes.any.iter()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::view::{Views, holds};
    use super::*;

    fn leaf(path: &[&str]) -> Leaf {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Leaf { place: Place::Containers, path: [vec!["securityContext".to_owned()], path].concat(), entry: None }
    }

    #[rstest]
    #[case::nothing_set(json!({}), false)]
    #[case::capabilities_added(json!({"capabilities": {"add": ["NET_BIND_SERVICE"]}}), true)]
    #[case::privileged(json!({"privileged": true}), true)]
    #[case::capabilities_dropped(json!({"capabilities": {"drop": ["KILL"]}}), false)]
    fn who_adds_capabilities_keeps_them(#[case] context: Value, #[case] left_open: bool) {
        let container = json!({"name": "app", "securityContext": context});
        let whole = json!({"spec": {"containers": [container]}});
        let views = Views { without_roads: whole.clone(), without_ownerless: whole.clone(), whole, skips: Vec::new() };
        let yields = |path: &[&str], value: Value| {
            let wish = Wish { default: "d".into(), value, forbidden: false };
            let condition = yields(&leaf(path), &wish, &Road::default());
            holds(&condition, Sight::MAYBE, &views, Some((Place::Containers, 0)))
        };
        assert_eq!(yields(&["capabilities", "drop"], json!(["NET_RAW"])), left_open);
        assert_eq!(yields(&["allowPrivilegeEscalation"], json!(false)), left_open);
        assert!(!yields(&["readOnlyRootFilesystem"], json!(true)), "others do not mind");
    }
}

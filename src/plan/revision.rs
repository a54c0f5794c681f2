//! A revision of a path: everything that services on it need, as a ControllerRevision keeps it.

use std::fmt::Write as _;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::leaf::Road;
use super::pod_template::{InvalidDefault, collect};
use crate::api::{Category, Companion, DefaultOwner, GoldenPath, Override, PathDefault, PathOwner, Reason, Timing};
use crate::cel::{Check, CheckError};

/// A snapshot of a path's defaults and the road that they make.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Revision {
    /// Name: the path's name and a hash of its content; the value of the revision label.
    pub name: String,
    /// Name of the path.
    pub path: String,
    /// Version of the path, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who keeps the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PathOwner>,
    /// The defaults, without their templates.
    pub rules: Vec<Rule>,
    /// What the defaults fill.
    pub road: Road,
}

/// One default of a revision.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Name of the default.
    pub name: String,
    /// Who sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DefaultOwner>,
    /// What it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Whether a team may do without it.
    #[serde(default)]
    pub permission: Override,
    /// When its values arrive.
    #[serde(default)]
    pub timing: Timing,
    /// Share of the score.
    pub weight: i32,
    /// CEL expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// The expression compiled, once for all workloads: compiling takes a thousand times as long as evaluating.
    #[serde(skip)]
    compiled: Once,
    /// What is made beside the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Companion>,
    /// What a team can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What goes wrong without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a path cannot be compiled. The text names the field, the value and the fix.
#[derive(thiserror::Error, Debug)]
pub enum InvalidPath {
    /// A `podTemplate`.
    #[error(transparent)]
    InvalidDefault(#[from] InvalidDefault),
    /// A `check`.
    #[error("defaults[{default}].check: {error}")]
    InvalidCheck {
        /// Name of the default.
        default: String,
        /// What the CEL engine says.
        error: CheckError,
    },
    /// The stage does not permit adoption.
    #[error("stage: {stage}: nobody can take the path yet; set stage: Preview or Stable")]
    StageNotAdoptable {
        /// The stage.
        stage: String,
    },
    /// Another path claims the kind.
    #[error("defaultFor: {kind}: GoldenPath {other} is older and claims it; remove it here or there")]
    DefaultForTaken {
        /// The kind.
        kind: String,
        /// The older path.
        other: String,
    },
    /// A circle of replacements.
    #[error("retirement.replacedBy: it leads back here, over {over}; name a path that stays")]
    CyclicRetirement {
        /// The paths on the way.
        over: String,
    },
}

impl InvalidPath {
    /// The condition's reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::InvalidDefault(_) => Reason::InvalidDefault,
            Self::InvalidCheck { .. } => Reason::InvalidCheck,
            Self::StageNotAdoptable { .. } => Reason::StageNotAdoptable,
            Self::DefaultForTaken { .. } => Reason::DefaultForTaken,
            Self::CyclicRetirement { .. } => Reason::CyclicRetirement,
        }
    }
}

impl Revision {
    /// The revision that a path's spec asks for, with the literals as its author wrote them.
    pub fn draft(path: &GoldenPath) -> Result<Self, InvalidPath> {
        let name = path.metadata.name.clone().unwrap_or_default();
        if !path.spec.stage.adoptable() {
            return Err(InvalidPath::StageNotAdoptable { stage: format!("{:?}", path.spec.stage) });
        }
        let mut road = Road::default();
        for default in &path.spec.defaults {
            collect(default, &mut road)?;
            if let Some(source) = &default.check {
                let invalid = |error| InvalidPath::InvalidCheck { default: default.name.clone(), error };
                Check::compile(source).map_err(invalid)?;
            }
        }
        Ok(Self {
            name: format!("{name}-{}", content_hash(path)),
            path: name,
            version: path.spec.version.clone(),
            owner: path.spec.owner.clone(),
            rules: path.spec.defaults.iter().map(Rule::of).collect(),
            road,
        })
    }

    /// This revision with the words of a later draft of the same content: hints, reasons and owners are no part of the
    /// name, so that the kept ones may be old.
    #[must_use]
    pub fn in_the_words_of(self, draft: Self) -> Self {
        Self { road: self.road, ..draft }
    }

    /// The defaults that another revision does not have as they are here.
    pub fn not_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| {
            let theirs = other.rules.iter().find(|theirs| theirs.name == rule.name);
            let same = |theirs: &Rule| {
                theirs.check == rule.check
                    && theirs.permission == rule.permission
                    && theirs.resources == rule.resources
                    && self.road.literals_of(&rule.name) == other.road.literals_of(&rule.name)
            };
            !theirs.is_some_and(same)
        })
    }

    /// The timing of a default.
    #[must_use]
    pub fn timing(&self, default: &str) -> Timing {
        self.rules.iter().find(|r| r.name == default).map(|r| r.timing).unwrap_or_default()
    }
}

/// A compiled check, made at first use. It follows from the source, so it is no part of a comparison.
#[derive(Clone, Debug, Default)]
struct Once(OnceLock<Result<Check, String>>);

impl PartialEq for Once {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Rule {
    /// The check, if the rule has one.
    pub fn compiled_check(&self) -> Option<Result<&Check, &str>> {
        let source = self.check.as_deref()?;
        let compiled = self.compiled.0.get_or_init(|| Check::compile(source).map_err(|e| e.to_string()));
        Some(compiled.as_ref().map_err(String::as_str))
    }

    fn of(default: &PathDefault) -> Self {
        Self {
            name: default.name.clone(),
            owner: default.owner,
            category: default.category,
            permission: default.permission,
            timing: default.timing,
            weight: default.weight,
            check: default.check.clone(),
            resources: default.resources.clone(),
            hint: default.hint.clone(),
            reason: default.reason.clone(),
            compiled: Once::default(),
        }
    }
}

/// The older of two objects that claim the same thing keeps it: by creation, then by name.
#[must_use]
pub fn claims_first(a: &kube::core::ObjectMeta, b: &kube::core::ObjectMeta) -> bool {
    let key =
        |m: &kube::core::ObjectMeta| (m.creation_timestamp.as_ref().map(|t| t.0), m.namespace.clone(), m.name.clone());
    key(a) < key(b)
}

/// Refuses a `defaultFor` that an older path claims.
pub fn check_default_for(path: &GoldenPath, all: &[&GoldenPath]) -> Result<(), InvalidPath> {
    for other in all.iter().filter(|o| o.metadata.uid != path.metadata.uid && claims_first(&o.metadata, &path.metadata))
    {
        if let Some(kind) = path.spec.default_for.iter().find(|k| other.spec.default_for.contains(k)) {
            let other = other.metadata.name.clone().unwrap_or_default();
            return Err(InvalidPath::DefaultForTaken { kind: kind.to_string(), other });
        }
    }
    Ok(())
}

/// Refuses a retirement that leads back to the path, over others.
pub fn check_retirement(path: &GoldenPath, all: &[&GoldenPath]) -> Result<(), InvalidPath> {
    fn next(path: &GoldenPath) -> Option<&String> {
        Some(&path.spec.retirement.as_ref()?.replaced_by.as_ref()?.name)
    }
    let (mut at, mut seen) = (path, Vec::new());
    while let Some(name) = next(at) {
        seen.push(name.clone());
        if path.metadata.name.as_ref() == Some(name) {
            return Err(InvalidPath::CyclicRetirement { over: seen.join(", then ") });
        }
        match all.iter().find(|other| other.metadata.name.as_ref() == Some(name)) {
            // a circle that this path only leads to is refused at the paths in it
            Some(other) if seen.iter().filter(|one| *one == name).count() == 1 => at = other,
            _ => break,
        }
    }
    Ok(())
}

/// Hash of what a revision does. Words are not part of it (hint, reason, owner, category): a better sentence relabels no
/// workload.
fn content_hash(path: &GoldenPath) -> String {
    let default = |d: &PathDefault| {
        let mut content = vec![json!(d.name), json!(d.timing), json!(d.weight), json!(d.pod_template), json!(d.check)];
        // left out where it is not set: paths from before there was such a field keep their revisions
        content.extend((d.permission != Override::default()).then(|| json!(d.permission)));
        content.extend((!d.resources.is_empty()).then(|| json!(d.resources)));
        Value::Array(content)
    };
    let defaults: Vec<Value> = path.spec.defaults.iter().map(default).collect();
    let content = json!([path.spec.version, defaults]);
    hex(&Sha256::digest(content.to_string().as_bytes())[..5])
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GoldenPathSpec;

    fn path(default: PathDefault) -> GoldenPath {
        GoldenPath::new("web", GoldenPathSpec { defaults: vec![default], ..GoldenPathSpec::default() })
    }

    fn default() -> PathDefault {
        let pod_template = json!({"spec": {"automountServiceAccountToken": false}}).as_object().cloned();
        PathDefault { name: "token".into(), weight: 1, pod_template, ..PathDefault::default() }
    }

    #[test]
    fn words_make_no_new_revision_and_arrive_all_the_same() {
        let before = Revision::draft(&path(default())).unwrap();
        let mut reworded = path(PathDefault {
            hint: Some("Do it.".into()),
            reason: Some("It helps.".into()),
            owner: Some(DefaultOwner::Team),
            category: Some(Category::Security),
            ..default()
        });
        reworded.spec.owner = Some(PathOwner { team: Some("platform".into()), ..PathOwner::default() });
        let after = Revision::draft(&reworded).unwrap();
        assert_eq!(before.name, after.name);

        let mut kept = before;
        kept.road.0[0].formerly.push(json!("a literal that only the kept one knows"));
        let road = kept.road.clone();
        let published = kept.in_the_words_of(after.clone());
        assert_eq!((&published.rules, &published.owner), (&after.rules, &after.owner));
        assert_eq!(published.road, road);
    }

    #[test]
    fn what_a_default_does_makes_a_new_revision() {
        let name = |default: PathDefault| Revision::draft(&path(default)).unwrap().name;
        let check = Some("true".to_owned());
        assert_ne!(name(default()), name(PathDefault { weight: 2, ..default() }));
        assert_ne!(name(default()), name(PathDefault { check, ..default() }));
    }
}

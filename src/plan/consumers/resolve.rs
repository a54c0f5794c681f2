//! From the rules of an entry to resources that can be watched, by what the API server serves.

use std::fmt;

use crate::api::{GROUP, ResourceRule};

/// A resource in one version, as discovery tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Served {
    /// API group, empty for the core one.
    pub group: String,
    /// Version.
    pub version: String,
    /// The plural name of the resource.
    pub plural: String,
    /// The kind of its objects.
    pub kind: String,
    /// It can be listed and watched.
    pub watchable: bool,
    /// The API server prefers this version of the group.
    pub preferred: bool,
}

impl Served {
    /// Whether it is the same resource, in whatever version.
    fn is_same(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }

    /// Where all of its objects are listed.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { group, version, plural, .. } = self;
        if group.is_empty() { format!("/api/{version}/{plural}") } else { format!("/apis/{group}/{version}/{plural}") }
    }
}

impl fmt::Display for Served {
    /// As `kubectl get` takes it: `ingresses.v1.networking.k8s.io`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, version, plural, .. } = self;
        write!(f, "{plural}.{version}")?;
        if group.is_empty() { Ok(()) } else { write!(f, ".{group}") }
    }
}

/// Something that a rule asks for and that cannot be looked at. The text names the field, the value and the fix.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unresolved {
    /// The API server does not serve it: not yet, or not any more.
    #[error(
        "the API server does not serve {resource}; it is looked for again, so install its definition or correct the rule"
    )]
    NotServed {
        /// Group, version and resource, as in the rule.
        resource: String,
    },
    /// It is served, and cannot be listed and watched.
    #[error("{resource} cannot be listed and watched; remove it from the rule")]
    NotWatchable {
        /// Group, version and resource.
        resource: String,
    },
    /// It is one of ours.
    #[error("{resource} is a kind of the operator itself; remove it from the rule")]
    Ours {
        /// Group, version and resource.
        resource: String,
    },
}

/// What the rules of an entry mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Resources to watch, each in one version.
    pub resources: Vec<Served>,
    /// What cannot be.
    pub unresolved: Vec<Unresolved>,
}

/// Finds the resources of rules among what is served. Each resource is looked at in one version, since the API server
/// converts: in the first one of the rule that is served, else in the preferred one.
#[must_use]
pub fn resolve(rules: &[ResourceRule], served: &[Served]) -> Resolved {
    let mut resolved = Resolved::default();
    for rule in rules {
        for group in &rule.api_groups {
            for plural in &rule.resources {
                let found = find(rule, group, plural, served);
                match found {
                    // the first rule decides in which version: an object is not two because two rules name it
                    Ok(found) if !resolved.resources.iter().any(|known| known.is_same(&found)) => {
                        resolved.resources.push(found);
                    }
                    Ok(_) => {}
                    Err(problem) => resolved.unresolved.push(problem),
                }
            }
        }
    }
    resolved.resources.sort();
    resolved.unresolved.sort();
    resolved.unresolved.dedup();
    resolved
}

fn find(rule: &ResourceRule, group: &str, plural: &str, served: &[Served]) -> Result<Served, Unresolved> {
    let resource = match (rule.api_versions.join(","), group) {
        (versions, "") => format!("{plural} of {}", if versions.is_empty() { "the core group" } else { &versions }),
        (versions, group) if versions.is_empty() => format!("{plural} of {group}"),
        (versions, group) => format!("{plural} of {group}/{versions}"),
    };
    if group == GROUP {
        return Err(Unresolved::Ours { resource });
    }
    let mut all = served.iter().filter(|served| served.group == group && served.plural == plural);
    let found = if rule.api_versions.is_empty() {
        all.clone().find(|served| served.preferred).or_else(|| all.next())
    } else {
        rule.api_versions.iter().find_map(|version| all.clone().find(|served| served.version == *version))
    };
    let Some(found) = found else { return Err(Unresolved::NotServed { resource }) };
    if found.watchable { Ok(found.clone()) } else { Err(Unresolved::NotWatchable { resource }) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn served(group: &str, version: &str, plural: &str, preferred: bool) -> Served {
        let (group, version, plural) = (group.to_owned(), version.to_owned(), plural.to_owned());
        Served { group, version, plural, kind: "K".into(), watchable: true, preferred }
    }

    fn cluster() -> Vec<Served> {
        let reviews = Served { watchable: false, ..served("authorization.k8s.io", "v1", "subjectaccessreviews", true) };
        vec![
            served("", "v1", "configmaps", true),
            served("autoscaling", "v2", "horizontalpodautoscalers", true),
            served("autoscaling", "v1", "horizontalpodautoscalers", false),
            served("old.example.com", "v1beta1", "widgets", false),
            served("goldenpath.dev", "v1alpha1", "goldenpaths", true),
            reviews,
        ]
    }

    fn rule(group: &str, versions: &[&str], resource: &str) -> ResourceRule {
        ResourceRule {
            api_groups: vec![group.into()],
            api_versions: versions.iter().map(|v| (*v).to_owned()).collect(),
            resources: vec![resource.into()],
        }
    }

    #[rstest]
    #[case::the_preferred_version(rule("autoscaling", &[], "horizontalpodautoscalers"), "horizontalpodautoscalers.v2.autoscaling")]
    #[case::the_version_of_the_rule(rule("autoscaling", &["v1"], "horizontalpodautoscalers"), "horizontalpodautoscalers.v1.autoscaling")]
    #[case::the_first_that_is_served(rule("autoscaling", &["v3", "v2", "v1"], "horizontalpodautoscalers"), "horizontalpodautoscalers.v2.autoscaling")]
    #[case::the_core_group(rule("", &[], "configmaps"), "configmaps.v1")]
    #[case::only_in_another_version(rule("old.example.com", &[], "widgets"), "widgets.v1beta1.old.example.com")]
    #[case::not_there(
        rule("kyverno.io", &["v1"], "clusterpolicies"),
        "the API server does not serve clusterpolicies of kyverno.io/v1; it is looked for again, so install its definition or correct the rule"
    )]
    #[case::not_in_the_core_group(
        rule("", &[], "widgets"),
        "the API server does not serve widgets of the core group; it is looked for again, so install its definition or correct the rule"
    )]
    #[case::no_list(
        rule("authorization.k8s.io", &[], "subjectaccessreviews"),
        "subjectaccessreviews of authorization.k8s.io cannot be listed and watched; remove it from the rule"
    )]
    #[case::ours(
        rule("goldenpath.dev", &[], "goldenpaths"),
        "goldenpaths of goldenpath.dev is a kind of the operator itself; remove it from the rule"
    )]
    fn rules_find_what_is_served(#[case] rule: ResourceRule, #[case] expected: &str) {
        let Resolved { resources, unresolved } = resolve(&[rule], &cluster());
        let texts: Vec<String> =
            resources.iter().map(ToString::to_string).chain(unresolved.iter().map(ToString::to_string)).collect();
        assert_eq!(texts, [expected]);
    }

    #[test]
    fn what_two_rules_name_is_watched_once_and_missed_once() {
        let (there, missing) = (rule("", &["v1"], "configmaps"), rule("x", &[], "y"));
        let resolved = resolve(&[there.clone(), missing.clone(), there, missing], &cluster());
        assert_eq!((resolved.resources.len(), resolved.unresolved.len()), (1, 1));
        assert_eq!(resolved.resources[0].url(), "/api/v1/configmaps");
    }
}

//! What the status of a PlatformService says of what it has that is deprecated.

use super::{Finding, merge, standing};
use crate::api::{ConditionType, DeprecatedObject, Deprecation, DeprecationStage, PlatformServiceStatus, Reason};
use crate::plan::consumers::{Remedy, Served};
use crate::plan::deprecation::deadline;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// A longer command is not printed: the guide has to do.
const MAX_FIX: usize = 1024;

/// What a service has that is deprecated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deprecated {
    /// Some of its objects.
    pub objects: Vec<DeprecatedObject>,
    /// How many there are.
    pub total: i64,
}

/// What a service is told of one of its objects. Nothing while nobody is told.
#[must_use]
pub fn told(
    deprecation: &Deprecation,
    resource: &Served,
    namespace: &str,
    name: &str,
    remedy: &Remedy,
) -> Option<DeprecatedObject> {
    let stage = deprecation.status.as_ref().map(|status| status.stage)?;
    if stage == DeprecationStage::Planned {
        return None;
    }
    let guide = deprecation.spec.replacement.as_ref().and_then(|replacement| replacement.guide_url.as_ref());
    let guide = guide.map(|url| format!("see {url}"));
    let fix = match remedy {
        Remedy::None => guide,
        Remedy::Patch(patch) => {
            Some(command(resource, namespace, name, patch)).filter(|c| c.chars().count() <= MAX_FIX).or(guide)
        }
        Remedy::Unfit(why) => {
            let text =
                format!("spec.replacement.fix of Deprecation {} does not apply to it: {why}", deprecation.name_any());
            Some(guide.map_or_else(|| text.clone(), |guide| format!("{guide}; {text}")))
        }
    };
    Some(DeprecatedObject {
        name: deprecation.name_any(),
        stage,
        deadline: deadline(&deprecation.spec.timeline).map(Time),
        object: format!("{}/{name}", resource.kind.to_lowercase()),
        fix,
    })
}

/// So many of the objects, those first whose deadline comes first.
#[must_use]
pub fn most_urgent(mut objects: Vec<DeprecatedObject>, most: usize) -> Vec<DeprecatedObject> {
    objects.sort_by(|a, b| (due(a), a).cmp(&(due(b), b)));
    objects.truncate(most);
    objects
}

fn due(object: &DeprecatedObject) -> Timestamp {
    object.deadline.as_ref().map_or(Timestamp::MAX, |at| at.0)
}

/// The command that makes an object a new one. In the version that the patch was made for, where kubectl would take another.
fn command(resource: &Served, namespace: &str, name: &str, patch: &str) -> String {
    let Served { group, plural, .. } = resource;
    let resource = match (group.is_empty(), resource.preferred) {
        (true, _) => plural.clone(),
        (false, true) => format!("{plural}.{group}"),
        (false, false) => resource.to_string(),
    };
    let patch = patch.replace('\'', r"'\''");
    format!("kubectl patch {resource} {name} -n {namespace} --type merge -p '{patch}'")
}

/// The status of a service with what it has that is deprecated.
#[must_use]
pub fn with(
    status: PlatformServiceStatus,
    deprecated: Deprecated,
    generation: Option<i64>,
    now: Timestamp,
) -> PlatformServiceStatus {
    let has_had = standing(&status.conditions, ConditionType::UsesDeprecated).is_some();
    let finding = uses_deprecated(&deprecated, has_had, now);
    PlatformServiceStatus {
        conditions: merge(&status.conditions, finding.as_slice(), generation, now),
        deprecations_total: (deprecated.total > 0).then_some(deprecated.total),
        deprecations: deprecated.objects,
        ..status
    }
}

/// The condition, for a service that has anything deprecated, or has had.
#[must_use]
pub fn uses_deprecated(deprecated: &Deprecated, has_had: bool, now: Timestamp) -> Option<Finding> {
    let finding = |good, reason, message| Finding { condition: ConditionType::UsesDeprecated, good, reason, message };
    // the one that ends first, and of these the first by name
    let first = deprecated.objects.iter().min_by_key(|object| (due(object), *object));
    let Some(first) = first else {
        let text = "nothing of the service is deprecated".to_owned();
        return has_had.then(|| finding(Some(true), Reason::NothingDeprecated, text));
    };
    let until = match &first.deadline {
        Some(at) if at.0 <= now => format!(", due since {}", at.0),
        Some(at) => format!(", due at {}", at.0),
        None => String::new(),
    };
    let fix = first.fix.as_ref().map_or_else(String::new, |fix| format!("; {fix}"));
    let more = if deprecated.total > 1 { format!("; and {} more", deprecated.total - 1) } else { String::new() };
    let text = format!("{} is deprecated by {}, stage {:?}{until}{fix}{more}", first.object, first.name, first.stage);
    Some(finding(Some(false), Reason::UsesDeprecated, text))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::DeprecationStatus;

    fn deprecation(stage: DeprecationStage, replacement: &serde_json::Value) -> Deprecation {
        let spec =
            json!({"matches": [], "replacement": replacement, "timeline": {"blockUpdateAt": "2027-05-15T00:00:00Z"}});
        let mut deprecation = Deprecation::new("legacy", serde_json::from_value(spec).unwrap());
        deprecation.status = Some(DeprecationStatus { stage, ..DeprecationStatus::default() });
        deprecation
    }

    fn resource(group: &str, plural: &str) -> Served {
        let (group, version, plural) = (group.to_owned(), "v1".to_owned(), plural.to_owned());
        Served { group, version, plural, kind: "Ingress".into(), preferred: true, watchable: true }
    }

    fn patch(patch: &serde_json::Value) -> Remedy {
        Remedy::Patch(patch.to_string().into())
    }

    #[rstest]
    #[case::a_patch(
        patch(&json!({"spec": {"ingressClassName": "it's new"}})), json!({}),
        Some(r#"kubectl patch ingresses.networking.k8s.io web -n shop --type merge -p '{"spec":{"ingressClassName":"it'\''s new"}}'"#)
    )]
    #[case::a_guide(Remedy::None, json!({"guideURL": "https://d"}), Some("see https://d"))]
    #[case::too_long(patch(&json!({"a": "x".repeat(2000)})), json!({"guideURL": "https://d"}), Some("see https://d"))]
    #[case::no_way_out(
        Remedy::Unfit("match class holds with it as well".into()), json!({"guideURL": "https://d"}),
        Some("see https://d; spec.replacement.fix of Deprecation legacy does not apply to it: match class holds with it as well")
    )]
    #[case::nothing(Remedy::None, json!({}), None)]
    fn the_fix_can_be_pasted(
        #[case] remedy: Remedy,
        #[case] replacement: serde_json::Value,
        #[case] expected: Option<&str>,
    ) {
        let deprecation = deprecation(DeprecationStage::Warning, &replacement);
        let told = told(&deprecation, &resource("networking.k8s.io", "ingresses"), "shop", "web", &remedy).unwrap();
        assert_eq!(told.fix.as_deref(), expected);
        assert_eq!((told.object.as_str(), told.stage), ("ingress/web", DeprecationStage::Warning));
    }

    #[test]
    fn the_patch_is_sent_in_the_version_that_it_was_made_for() {
        let older = Served { preferred: false, ..resource("autoscaling", "horizontalpodautoscalers") };
        let command = command(&older, "shop", "web", "{}");
        assert!(command.starts_with("kubectl patch horizontalpodautoscalers.v1.autoscaling web "), "{command}");
        let core = super::command(&resource("", "configmaps"), "shop", "web", "{}");
        assert!(core.starts_with("kubectl patch configmaps web "), "{core}");
    }

    #[test]
    fn nobody_is_told_before_the_announcement() {
        let planned = deprecation(DeprecationStage::Planned, &json!({}));
        assert_eq!(told(&planned, &resource("", "configmaps"), "shop", "web", &Remedy::None), None);
    }

    #[test]
    fn what_ends_first_is_told_first_and_what_never_ends_last() {
        let object = |name: &str, deadline: Option<&str>| DeprecatedObject {
            name: name.into(),
            deadline: deadline.map(|at| Time(at.parse().unwrap())),
            ..DeprecatedObject::default()
        };
        let objects = vec![
            object("a", None),
            object("b", Some("2027-05-15T00:00:00Z")),
            object("c", Some("2027-02-01T00:00:00Z")),
            object("d", Some("2027-02-01T00:00:00Z")),
        ];
        let names: Vec<String> = most_urgent(objects, 3).into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["c", "d", "b"]);
    }

    #[test]
    fn the_condition_names_what_ends_first() {
        let object = |name: &str, deadline: &str| DeprecatedObject {
            name: name.into(),
            stage: DeprecationStage::Warning,
            deadline: Some(Time(deadline.parse().unwrap())),
            object: format!("ingress/{name}"),
            fix: Some("see https://d".into()),
        };
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let objects = vec![object("later", "2027-05-15T00:00:00Z"), object("sooner", "2027-02-01T00:00:00Z")];
        let finding = uses_deprecated(&Deprecated { objects, total: 30 }, false, now).unwrap();
        let expected = "ingress/sooner is deprecated by sooner, stage Warning, due at 2027-02-01T00:00:00Z; see https://d; and 29 more";
        assert_eq!((finding.good, finding.message.as_str()), (Some(false), expected));
        assert_eq!(uses_deprecated(&Deprecated::default(), false, now), None, "who never had any is told nothing");
        let one = Deprecated { objects: vec![object("one", "2027-05-15T00:00:00Z")], total: 1 };
        let told = with(PlatformServiceStatus::default(), one.clone(), Some(1), now);
        assert_eq!((told.deprecations.len(), told.deprecations_total), (1, Some(1)));
        assert_eq!(with(told.clone(), one, Some(1), now), told, "the same is no change");
        let rid = with(told, Deprecated::default(), Some(1), now);
        assert_eq!(standing(&rid.conditions, ConditionType::UsesDeprecated), Some(("False", "NothingDeprecated")));
        assert_eq!((rid.deprecations.len(), rid.deprecations_total), (0, None));
        let had = uses_deprecated(&Deprecated::default(), true, now).unwrap();
        assert_eq!((had.good, had.reason), (Some(true), Reason::NothingDeprecated));
    }
}

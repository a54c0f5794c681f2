//! Rights that were granted, against rights that were used: the audit log tells both what is missing and what is idle.

use std::collections::BTreeSet;

use goldenpath::rbac::Rule;

use crate::audit::AuditEvent;

/// Rules and the namespace in which they hold; none means everywhere.
pub type Granted<'a> = (&'a [Rule], Option<&'a str>);

/// What every account may do, by a binding of the API server's own: ask who it is, and what is served.
fn is_everybodys(event: &AuditEvent) -> bool {
    event.resource.is_empty() || (event.group == "authentication.k8s.io" && event.resource == "selfsubjectreviews")
}

fn resource(event: &AuditEvent) -> String {
    match event.subresource.as_str() {
        "" => event.resource.clone(),
        subresource => format!("{}/{subresource}", event.resource),
    }
}

fn is_use(event: &AuditEvent, rule: &Rule, resource: &str, verb: &str, namespace: Option<&str>) -> bool {
    let here = namespace.is_none_or(|namespace| event.namespace == namespace);
    // a server-side apply that creates needs both rights, and the log has one
    let creates = verb == "create" && event.verb == "patch" && event.code == 201;
    here && event.group == rule.group && (event.verb == verb || creates) && self::resource(event) == resource
}

/// What a user was refused, or was allowed by something else than the rules. Nothing must be in it.
#[must_use]
pub fn missing(events: &[AuditEvent], user: &str, granted: &[Granted]) -> BTreeSet<String> {
    let allowed = |event: &AuditEvent| {
        granted.iter().any(|(rules, namespace)| {
            let by = |rule: &Rule| {
                let pairs = rule.resources.iter().flat_map(|r| rule.verbs.iter().map(move |v| (r, v)));
                pairs.into_iter().any(|(resource, verb)| is_use(event, rule, resource, verb, *namespace))
            };
            rules.iter().any(by)
        })
    };
    let of_user = events.iter().filter(|event| event.user == user && !is_everybodys(event));
    let wrong = of_user.filter(|event| event.code == 403 || !allowed(event));
    wrong.map(|e| format!("{} {} in {:?} answered {}", e.verb, resource(e), e.namespace, e.code)).collect()
}

/// What the rules grant and a user never did. Nothing must be in it after a run that does everything.
#[must_use]
pub fn unused(events: &[AuditEvent], user: &str, granted: &[Granted]) -> BTreeSet<String> {
    let mut unused = BTreeSet::new();
    for (rules, namespace) in granted {
        for rule in *rules {
            for (resource, verb) in rule.resources.iter().flat_map(|r| rule.verbs.iter().map(move |v| (r, v))) {
                if !events.iter().any(|e| e.user == user && is_use(e, rule, resource, verb, *namespace)) {
                    unused.insert(format!("{verb} {resource} in {}", namespace.unwrap_or("the whole cluster")));
                }
            }
        }
    }
    unused
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &[Rule] = &[Rule {
        group: "apps",
        resources: &["deployments", "deployments/scale"],
        verbs: &["get", "patch"],
        reason: "",
    }];

    fn event(verb: &str, resource: &str, namespace: &str, code: u16) -> AuditEvent {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        AuditEvent {
            user: "me".to_owned(),
            user_agent: String::new(),
            verb: verb.to_owned(),
            group: "apps".to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: String::new(),
            code,
            dry_run: false,
            uri: String::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_right_that_nobody_used_is_named() {
        let events = [event("get", "deployments", "a", 200), event("patch", "deployments/scale", "b", 404)];
        let unused = unused(&events, "me", &[(RULES, None)]);
        assert_eq!(
            Vec::from_iter(unused),
            ["get deployments/scale in the whole cluster", "patch deployments in the whole cluster"]
        );
    }

    #[test]
    fn an_apply_that_creates_uses_both_rights() {
        const RULES: &[Rule] =
            &[Rule { group: "apps", resources: &["deployments"], verbs: &["create", "patch"], reason: "" }];
        let unused = |code| unused(&[event("patch", "deployments", "a", code)], "me", &[(RULES, None)]);
        assert_eq!((unused(201).len(), unused(200).len()), (0, 1));
    }

    #[test]
    fn a_right_in_a_namespace_is_not_used_in_another() {
        let events = [event("get", "deployments", "a", 200)];
        assert_eq!(unused(&events, "me", &[(RULES, Some("a"))]).len(), 3);
        assert_eq!(unused(&events, "me", &[(RULES, Some("b"))]).len(), 4);
    }

    #[test]
    fn a_refusal_and_a_right_from_elsewhere_are_named_and_those_of_others_are_not() {
        let mut other = event("delete", "pods", "a", 200);
        other.user = "somebody".to_owned();
        let events = [
            other,
            event("get", "deployments", "a", 200),
            event("get", "deployments", "a", 403),
            event("list", "deployments", "a", 200),
        ];
        let missing = missing(&events, "me", &[(RULES, None)]);
        assert_eq!(
            Vec::from_iter(missing),
            ["get deployments in \"a\" answered 403", "list deployments in \"a\" answered 200"]
        );
    }
}

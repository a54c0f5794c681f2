//! What a service that went back does without: the defaults that the revision had brought.

use super::revision::{Revision, Rule};
use super::route::{Route, pin};
use super::verdict::Verdict;
use crate::api::{PlatformService, VerdictState};

/// The revision that a service went back from, which its path is still at, and why.
#[must_use]
pub fn went_back_from<'a>(service: &'a PlatformService, route: &'a Route) -> Option<(&'a Revision, &'a str)> {
    if pin(service).is_some() {
        return None; // it is where it wants to be
    }
    let followed = service.status.as_ref()?.golden_path.as_ref()?;
    let back = followed.rolled_back.as_ref()?;
    let stands = back.revision == route.current.name && back.revision != route.revision.name;
    stands.then_some((route.current.as_ref(), back.cause.as_str()))
}

/// Verdicts with what went back with a revision. What the team decided itself stays as it is.
pub fn tell(verdicts: &mut Vec<Verdict>, followed: &Revision, from: &Revision, cause: &str) {
    let version = from.version.as_deref().unwrap_or(&from.name);
    for rule in from.not_in(followed) {
        let message = Some(format!("went back with version {version}: {cause}"));
        match verdicts.iter_mut().find(|verdict| verdict.default == rule.name) {
            Some(verdict) if is_the_roads(verdict.state) => {
                (verdict.state, verdict.message) = (VerdictState::RolledBack, message);
            }
            Some(_) => {}
            None => verdicts.push(of_new(rule, message)),
        }
    }
}

/// Whether it is the road that a default is in place by, or not yet; what the team does stands for itself.
fn is_the_roads(state: VerdictState) -> bool {
    matches!(state, VerdictState::Applied | VerdictState::PendingRollout | VerdictState::Missing)
}

/// The verdict of a default that the revision before does not have.
fn of_new(rule: &Rule, message: Option<String>) -> Verdict {
    Verdict {
        default: rule.name.clone(),
        state: VerdictState::RolledBack,
        weight: rule.weight,
        in_template: false,
        owner: rule.owner,
        category: rule.category,
        managers: Vec::new(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{GoldenPath, GoldenPathSpec};

    /// Each default fills a CPU request of its own container.
    fn revision(cpus: &[(&str, &str)]) -> Revision {
        let default = |(name, cpu): &(&str, &str)| {
            let container = json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
            json!({"name": name, "podTemplate": {"spec": {"containers": [container]}}})
        };
        let defaults: Vec<_> = cpus.iter().map(default).collect();
        let spec: GoldenPathSpec = serde_json::from_value(json!({"defaults": defaults})).unwrap();
        Revision::draft(&GoldenPath::new("web", spec)).unwrap()
    }

    #[test]
    fn defaults_that_are_new_or_have_changed_went_back() {
        let followed = revision(&[("same", "1"), ("changed", "1"), ("exempt", "1"), ("gone", "1")]);
        let from = revision(&[("same", "1"), ("changed", "2"), ("exempt", "2"), ("new", "1")]);
        let verdict = |rule: &Rule| {
            let state = if rule.name == "exempt" { VerdictState::Exempt } else { VerdictState::Applied };
            Verdict { state, ..of_new(rule, None) }
        };
        let mut verdicts: Vec<Verdict> = followed.rules.iter().map(verdict).collect();
        tell(&mut verdicts, &followed, &from, "stuck");
        let states: Vec<(&str, VerdictState)> = verdicts.iter().map(|v| (v.default.as_str(), v.state)).collect();
        let expected = [
            ("same", VerdictState::Applied),
            ("changed", VerdictState::RolledBack),
            ("exempt", VerdictState::Exempt),
            ("gone", VerdictState::Applied),
            ("new", VerdictState::RolledBack),
        ];
        assert_eq!(states, expected);
        assert!(verdicts[1].message.as_ref().unwrap().ends_with(": stuck"));
    }
}

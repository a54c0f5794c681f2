//! Verdicts: what is the case for each default on one workload. The one evaluation function.

use std::borrow::Cow;

use serde_json::Value;

use super::discreet::shown;
use super::exceptions::Exceptions;
use super::gaps::{Gap, Label, Whose, filled, gaps, team_view};
use super::metadata::annotation;
use super::permission::{as_permitted, excepted};
use super::revision::{Revision, Rule};
use super::rollout::waits_for;
use super::service::template;
use crate::api::{Category, DefaultOwner, PathOwner, Timing, VerdictState, WorkloadKind, brief, labels};
use crate::cel::{Check, Subject};

/// Longest message of a verdict, in characters: the limit of the field in a status.
pub const MAX_MESSAGE: usize = 512;

/// How a workload stands to the road.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `mode: Observe`: nothing is filled.
    Observed,
    /// It is labelled, or will be in a moment: gaps are filled with the team's next rollout.
    Adopted,
    /// It is not labelled, for this reason.
    NotLabelled(String),
    /// It is leaving: the road's values go with the next rollout.
    Leaving,
    /// It was labelled, its template changed since, and the fills did not come.
    NotFilled,
    /// It is labelled, and for this reason nothing is filled.
    Unfilled(String),
    /// A person set the break-glass annotation: it is off the road until that is gone and the team deploys.
    BrokenGlass,
}

/// The verdict of one default.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Name of the default.
    pub default: String,
    /// What is the case.
    pub state: VerdictState,
    /// Weight of the default.
    pub weight: i32,
    /// The template has all that the default fills: what is left to wait for is the rollout.
    pub in_template: bool,
    /// Who sees to it that the default is in place.
    pub owner: Option<DefaultOwner>,
    /// What the default is good for.
    pub category: Option<Category>,
    /// Managers that own values in its place.
    pub managers: Vec<String>,
    /// What it waits for, or what is wrong and what to do.
    pub message: Option<String>,
}

/// A workload as it is evaluated.
#[derive(Clone, Copy)]
pub struct Subjected<'a> {
    /// Its kind.
    pub kind: WorkloadKind,
    /// The whole object with its managedFields.
    pub object: &'a Value,
    /// Its namespace's object.
    pub namespace: &'a Value,
}

/// What holds for every default of a workload.
struct Circumstances<'a> {
    standing: &'a Standing,
    exceptions: &'a Exceptions,
    rollout: Option<String>,
    skipped: bool,
    help: Option<String>,
}

/// Verdicts of every default of a revision on one workload.
#[must_use]
pub fn verdicts(
    workload: Subjected<'_>,
    revision: &Revision,
    standing: &Standing,
    exceptions: &Exceptions,
) -> Vec<Verdict> {
    let gaps = gaps(workload.kind, workload.object, &revision.road);
    let circumstances = Circumstances {
        standing,
        exceptions,
        rollout: waits_for(workload.kind, workload.object),
        skipped: is_skipped(workload.object),
        help: revision.owner.as_ref().and_then(PathOwner::help),
    };
    let view = TeamsView::of(workload, &gaps);
    revision
        .rules
        .iter()
        .map(|rule| {
            let mine: Vec<&Gap<'_>> = gaps.iter().filter(|g| g.wish.is_some_and(|w| w.default == rule.name)).collect();
            judge(&view, rule, &mine, &circumstances)
        })
        .collect()
}

/// Whether a person set the break-glass annotation.
#[must_use]
pub fn is_skipped(object: &Value) -> bool {
    annotation(object, labels::SKIP) == Some(labels::SKIP_ALL)
}

fn judge(view: &TeamsView<'_>, rule: &Rule, gaps: &[&Gap<'_>], seen: &Circumstances<'_>) -> Verdict {
    let mut managers: Vec<String> = gaps.iter().flat_map(|g| g.managers.iter().cloned()).collect();
    managers.sort();
    managers.dedup();
    let verdict = |state, message: Option<String>| Verdict {
        default: rule.name.clone(),
        state,
        weight: rule.weight,
        in_template: gaps.iter().all(|gap| gap.adds().is_none()),
        owner: rule.owner,
        category: rule.category,
        managers: managers.clone(),
        message,
    };
    // the check is the author's own word for "does it", so it goes before any comparison of values
    let check = evaluate(rule, |check| view.holds(check));
    match &check {
        Some(Ok(true)) => return verdict(VerdictState::SatisfiedByTeam, None),
        Some(Err(error)) => return verdict(VerdictState::Missing, Some(format!("the check fails to run: {error}"))),
        _ => {}
    }
    if let Some(exception) = seen.exceptions.from(&rule.name)
        && (gaps.is_empty() || check == Some(Ok(false)) || !gaps.iter().all(|gap| gap.is_equal_by_team()))
    {
        let (state, message) = excepted(exception, gaps);
        return verdict(state, Some(message));
    }
    match &check {
        Some(Ok(false)) if gaps.is_empty() => {
            return verdict(VerdictState::Missing, Some(advice(rule, seen.help.as_deref())));
        }
        _ => {}
    }
    if seen.skipped && gaps.iter().any(|g| g.whose != Whose::Teams) {
        let message = format!("annotation {}: \"{}\" is set", labels::SKIP, labels::SKIP_ALL);
        let (state, message) = as_permitted(rule, VerdictState::Overridden, Some(message));
        return verdict(state, message);
    }
    // a sidecar has its own value and the main container the road's: neither alone makes the check hold
    let together = matches!(&check, Some(Ok(false)))
        && gaps.iter().any(|g| g.whose == Whose::Roads)
        && evaluate(rule, |check| view.holds_with_road(check)) == Some(Ok(true));
    // worst leaf first
    let (state, message) = gaps
        .iter()
        .map(|gap| match gap.whose {
            Whose::Teams if together => (VerdictState::SatisfiedByTeam, None),
            _ => {
                let (state, message) =
                    leaf_verdict(gap, (seen.standing, rule.timing), seen.rollout.as_deref(), check.is_some());
                as_permitted(rule, state, message)
            }
        })
        .min_by_key(|(state, _)| *state)
        .unwrap_or((VerdictState::SatisfiedByTeam, None));
    verdict(state, message)
}

/// Evaluates a rule's check, if it has one.
fn evaluate(rule: &Rule, holds: impl FnOnce(&Check) -> Result<bool, String>) -> Option<Result<bool, String>> {
    let compiled = rule.compiled_check()?;
    Some(compiled.map_err(ToOwned::to_owned).and_then(holds))
}

/// A workload as its team wrote it: without the road's own values. Checks are asked about this; one view serves them all,
/// since a copy of the object takes longer than a check.
struct TeamsView<'a> {
    workload: Subjected<'a>,
    object: Cow<'a, Value>,
}

impl<'a> TeamsView<'a> {
    fn of(workload: Subjected<'a>, gaps: &[Gap<'_>]) -> Self {
        Self { workload, object: team_view(workload.kind, workload.object, gaps) }
    }

    fn holds(&self, check: &Check) -> Result<bool, String> {
        self.ask(check, &self.object)
    }

    /// Whether a check holds with the road's values.
    fn holds_with_road(&self, check: &Check) -> Result<bool, String> {
        self.ask(check, self.workload.object)
    }

    fn ask(&self, check: &Check, object: &Value) -> Result<bool, String> {
        let template = template(self.workload.kind, object);
        let subject = Subject { object, namespace_object: self.workload.namespace, template };
        check.evaluate(&subject).map_err(|e| e.to_string())
    }
}

fn leaf_verdict(
    gap: &Gap<'_>,
    (standing, timing): (&Standing, Timing),
    rollout: Option<&str>,
    checked: bool,
) -> (VerdictState, Option<String>) {
    let field = gap.field();
    match (gap.whose, gap.wish) {
        (Whose::Teams, Some(_)) if gap.is_equal_by_team() => (VerdictState::SatisfiedByTeam, None),
        (_, Some(wish)) if gap.label == Label::Enforces => {
            let own = gap.current.as_ref().map_or_else(String::new, |value| shown(&field, value));
            let text = format!("{field} is {own}, and {} takes its place with the next rollout", brief(&wish.value));
            (VerdictState::PendingRollout, Some(text))
        }
        (Whose::Teams, Some(wish)) => {
            let own = gap.current.as_ref().map_or_else(|| "set to be empty".to_owned(), |value| shown(&field, value));
            let failed = if checked { ", and the check does not hold" } else { "" };
            (
                VerdictState::Overridden,
                Some(format!("{field} is {own}, the road's value is {}{failed}", brief(&wish.value))),
            )
        }
        _ if gap.yields && gap.label != Label::Skips && gap.whose == Whose::Nobodys => {
            (VerdictState::SatisfiedByTeam, None)
        }
        (_, None) => (VerdictState::SatisfiedByTeam, None),
        (Whose::Roads, Some(_)) if gap.adds().is_none() && !gap.yields && *standing != Standing::Leaving => {
            match rollout {
                None => (VerdictState::Applied, None),
                Some(wait) => (VerdictState::PendingRollout, Some(wait.to_owned())),
            }
        }
        (whose, Some(wish)) => absent(&field, whose, &wish.value, (standing, timing)),
    }
}

fn absent(
    field: &str,
    whose: Whose,
    wanted: &Value,
    (standing, timing): (&Standing, Timing),
) -> (VerdictState, Option<String>) {
    let what = if whose == Whose::Roads { "changes" } else { "is filled" };
    match standing {
        Standing::Observed => (VerdictState::Missing, Some(format!("{field} is open; mode: Observe fills nothing"))),
        Standing::Adopted => {
            let when = match timing {
                Timing::OnNextRollout => "with the team's next rollout",
                Timing::Immediate => "when its turn to restart comes, or with the team's next rollout",
            };
            (VerdictState::PendingRollout, Some(format!("{field} {what} {when}")))
        }
        Standing::NotLabelled(why) => (VerdictState::Missing, Some(why.clone())),
        Standing::Unfilled(why) => {
            (VerdictState::Missing, Some(format!("{field} is open: set it to {}; {why}", brief(wanted))))
        }
        // judged before by its annotation
        Standing::BrokenGlass => (VerdictState::Overridden, None),
        Standing::Leaving => (VerdictState::Missing, Some(format!("{field} leaves with the team's next rollout"))),
        Standing::NotFilled => (
            VerdictState::Missing,
            Some(format!("NotFilled: the template changed and {field} did not come; see the events of the GoldenPath")),
        ),
    }
}

/// What to do, why, and where to ask. What to do is never left out; the others only where they would be cut off.
///
/// The words of a status and of an admission policy alike.
#[must_use]
pub fn advice(rule: &Rule, help: Option<&str>) -> String {
    let hint = rule.hint.clone().filter(|hint| !hint.trim().is_empty());
    let what = hint.unwrap_or_else(|| match &rule.check {
        // a line of a terminal says which field it is about
        Some(check) => format!("the check of {} does not hold: {}", rule.name, one_line(check)),
        None => format!("the check of {} does not hold", rule.name),
    });
    let why = rule.reason.as_ref().map(|reason| format!("why: {reason}"));
    [why.as_deref(), help].into_iter().flatten().fold(what, |text, part| {
        let longer = format!("{}; {part}", text.trim_end_matches('.'));
        if longer.chars().count() > MAX_MESSAGE { text } else { longer }
    })
}

fn one_line(check: &str) -> String {
    let text = check.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= 120 { text } else { text.chars().take(117).chain("...".chars()).collect() }
}

/// Whether the next acting request would change the template: then a later rollout without that change was not filled.
#[must_use]
pub fn has_gaps(kind: WorkloadKind, object: &Value, revision: &Revision) -> bool {
    gaps(kind, object, &revision.road).iter().any(|g| g.adds().is_some())
}

/// The template that the API server should make of a workload when it acts.
#[must_use]
pub fn expected_template(kind: WorkloadKind, object: &Value, revision: &Revision) -> Value {
    filled(kind, object, &gaps(kind, object, &revision.road))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::VerdictState::{Applied, Missing, Overridden, PendingRollout, SatisfiedByTeam};
    use crate::api::{GoldenPath, GoldenPathSpec, PathDefault};

    /// A revision with one default `d` that fills `spec.securityContext.runAsNonRoot: true` and has `check`.
    fn revision(check: Option<&str>) -> Revision {
        let pod_template = json!({"spec": {"securityContext": {"runAsNonRoot": true}}}).as_object().cloned();
        let default = PathDefault {
            name: "d".into(),
            weight: 3,
            pod_template,
            check: check.map(Into::into),
            ..PathDefault::default()
        };
        let mut path = GoldenPath::new("web", GoldenPathSpec { defaults: vec![default], ..Default::default() });
        path.metadata.name = Some("web".into());
        Revision::draft(&path).unwrap()
    }

    /// A Deployment whose rollout is complete. `owned` says that manager `helm` owns the field.
    fn deployment(value: Option<bool>, owned: bool) -> Value {
        let mut fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}});
        if owned {
            fields["f:spec"]["f:template"]["f:spec"]["f:securityContext"] = json!({"f:runAsNonRoot": {}});
        }
        let context = value.map_or_else(|| json!({}), |v| json!({"runAsNonRoot": v}));
        json!({
            "metadata": {"generation": 1, "managedFields": [{"manager": "helm", "operation": "Apply", "fieldsV1": fields}]},
            "spec": {"replicas": 1, "template": {"spec": {"securityContext": context, "containers": [{"name": "app"}]}}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        })
    }

    fn judged(object: &Value, check: Option<&str>, standing: &Standing) -> Verdict {
        let subject = Subjected { kind: WorkloadKind::Deployment, object, namespace: &Value::Null };
        verdicts(subject, &revision(check), standing, &Exceptions::default()).remove(0)
    }

    #[rstest]
    #[case::open_and_adopted(deployment(None, false), Standing::Adopted, PendingRollout)]
    #[case::open_and_observed(deployment(None, false), Standing::Observed, Missing)]
    #[case::open_and_refused(deployment(None, false), Standing::NotLabelled("no".into()), Missing)]
    #[case::open_after_a_rollout(deployment(None, false), Standing::NotFilled, Missing)]
    #[case::filled(deployment(Some(true), false), Standing::Adopted, Applied)]
    #[case::equal_by_the_team(deployment(Some(true), true), Standing::Adopted, SatisfiedByTeam)]
    #[case::other_by_the_team(deployment(Some(false), true), Standing::Adopted, Overridden)]
    #[case::empty_by_the_team(deployment(None, true), Standing::Adopted, Overridden)]
    #[case::other_by_nobody(deployment(Some(false), false), Standing::Adopted, Overridden)]
    fn one_leaf_has_one_verdict(#[case] object: Value, #[case] standing: Standing, #[case] expected: VerdictState) {
        assert_eq!(judged(&object, None, &standing).state, expected);
    }

    #[test]
    fn a_team_that_runs_as_root_on_purpose_is_left_alone() {
        let mut object = deployment(None, false);
        object["spec"]["template"]["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 0});
        assert_eq!(judged(&object, None, &Standing::Adopted).state, SatisfiedByTeam);
    }

    #[test]
    fn a_fill_is_applied_only_when_it_runs_everywhere() {
        let mut object = deployment(Some(true), false);
        object["status"]["availableReplicas"] = json!(0);
        let verdict = judged(&object, None, &Standing::Adopted);
        assert_eq!((verdict.state, verdict.message.as_deref()), (PendingRollout, Some("not all pods are available")));
    }

    #[test]
    fn break_glass_is_an_override() {
        let mut object = deployment(None, false);
        object["metadata"]["annotations"] = json!({labels::SKIP: "*"});
        assert_eq!(judged(&object, None, &Standing::Adopted).state, Overridden);
    }

    #[test]
    fn what_the_team_and_the_road_do_together_is_applied() {
        let requests = json!({"spec": {"containers": [{"name": "*", "resources": {"requests": {"cpu": "50m"}}}]}});
        let mut path = GoldenPath::new("web", GoldenPathSpec::default());
        path.spec.defaults.push(PathDefault {
            name: "d".into(),
            pod_template: requests.as_object().cloned(),
            check: Some("variables.template.spec.containers.all(c, c.?resources.?requests.?cpu.hasValue())".into()),
            ..PathDefault::default()
        });
        let revision = Revision::draft(&path).unwrap();
        let mut object = deployment(None, false);
        let cpu = |cpu: &str| json!({"requests": {"cpu": cpu}});
        object["spec"]["template"]["spec"]["containers"] =
            json!([{"name": "app", "resources": cpu("50m")}, {"name": "sidecar", "resources": cpu("250m")}]);
        object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"] =
            json!({"k:{\"name\":\"sidecar\"}": {"f:resources": {"f:requests": {"f:cpu": {}}}}});
        let state = |object: &Value| {
            let subject = Subjected { kind: WorkloadKind::Deployment, object, namespace: &Value::Null };
            verdicts(subject, &revision, &Standing::Adopted, &Exceptions::default()).remove(0).state
        };
        assert_eq!(state(&object), Applied);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
        assert_eq!(state(&object), PendingRollout);
    }

    #[test]
    fn what_the_road_filled_leaves_no_husk_for_a_check() {
        let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
        let fill = json!({"spec": {"topologySpreadConstraints": [constraint]}});
        let mut path = GoldenPath::new("web", GoldenPathSpec::default());
        path.spec.defaults.push(PathDefault {
            name: "d".into(),
            pod_template: fill.as_object().cloned(),
            check: Some("has(variables.template.spec.topologySpreadConstraints)".into()),
            ..PathDefault::default()
        });
        let mut object = deployment(None, false);
        object["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([constraint]);
        let subject = Subjected { kind: WorkloadKind::Deployment, object: &object, namespace: &Value::Null };
        let revision = Revision::draft(&path).unwrap();
        assert_eq!(verdicts(subject, &revision, &Standing::Adopted, &Exceptions::default())[0].state, Applied);
    }

    fn rule(hint: Option<&str>, reason: Option<&str>) -> Rule {
        let mut rule = Rule::default();
        rule.name = "d".into();
        rule.hint = hint.map(Into::into);
        rule.reason = reason.map(Into::into);
        rule
    }

    #[rstest]
    #[case::all(Some("Do it."), Some("It breaks."), Some("docs: https://d"), "Do it; why: It breaks; docs: https://d")]
    #[case::hint_alone(Some("Do it."), None, None, "Do it.")]
    #[case::no_hint(None, None, Some("ask platform"), "the check of d does not hold; ask platform")]
    #[case::a_hint_of_blanks(Some(" "), None, None, "the check of d does not hold")]
    fn a_missing_default_says_what_to_do_and_why_and_where_to_ask(
        #[case] hint: Option<&str>,
        #[case] reason: Option<&str>,
        #[case] help: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(advice(&rule(hint, reason), help), expected);
    }

    #[test]
    fn without_a_hint_the_check_speaks_for_itself() {
        let mut rule = rule(None, None);
        rule.check = Some("object.spec.replicas != 1 &&\n  object.spec.paused != true".into());
        let text =
            "the check of d does not hold: object.spec.replicas != 1 && object.spec.paused != true; docs: https://d";
        assert_eq!(advice(&rule, Some("docs: https://d")), text);
        rule.check = Some("a || ".repeat(100));
        assert_eq!(advice(&rule, None).chars().count(), "the check of d does not hold: ".len() + 120);
    }

    #[test]
    fn what_would_be_cut_off_is_left_out() {
        let (hint, reason) = ("h".repeat(300), "r".repeat(256));
        let text = advice(&rule(Some(&hint), Some(&reason)), Some("docs: https://d"));
        assert_eq!(text, format!("{hint}; docs: https://d"));
    }

    #[test]
    fn owner_and_category_come_from_the_path() {
        let mut revision = revision(None);
        revision.rules[0].owner = Some(DefaultOwner::Platform);
        revision.rules[0].category = Some(Category::Security);
        let object = deployment(None, false);
        let subject = Subjected { kind: WorkloadKind::Deployment, object: &object, namespace: &Value::Null };
        let verdict = verdicts(subject, &revision, &Standing::Adopted, &Exceptions::default()).remove(0);
        assert_eq!((verdict.owner, verdict.category), (Some(DefaultOwner::Platform), Some(Category::Security)));
    }
}

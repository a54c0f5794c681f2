//! Verdicts: what is the case for each default on one workload. The one evaluation function.

use std::borrow::Cow;

use serde_json::Value;

use super::gaps::{Gap, Whose, filled, gaps};
use super::leaf::take;
use super::revision::{Revision, Rule};
use super::rollout::waits_for;
use super::service::template;
use crate::api::{State, VerdictState, WorkloadKind, brief, labels};
use crate::cel::{Check, Subject};

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

/// Verdicts of every default of a revision on one workload.
#[must_use]
pub fn verdicts(workload: Subjected<'_>, revision: &Revision, standing: &Standing) -> Vec<Verdict> {
    let gaps = gaps(workload.kind, workload.object, &revision.road);
    let rollout = waits_for(workload.kind, workload.object);
    let view = TeamsView::of(workload, &gaps);
    revision
        .rules
        .iter()
        .map(|rule| {
            let mine: Vec<&Gap<'_>> = gaps.iter().filter(|g| g.wish.is_some_and(|w| w.default == rule.name)).collect();
            judge(&view, rule, &mine, standing, rollout.as_deref())
        })
        .collect()
}

/// Whether a person set the break-glass annotation.
#[must_use]
pub fn is_skipped(object: &Value) -> bool {
    let annotation = object.pointer("/metadata/annotations").and_then(|a| a.get(labels::SKIP));
    annotation.and_then(Value::as_str) == Some(labels::SKIP_ALL)
}

fn judge(view: &TeamsView<'_>, rule: &Rule, gaps: &[&Gap<'_>], standing: &Standing, rollout: Option<&str>) -> Verdict {
    let mut managers: Vec<String> = gaps.iter().flat_map(|g| g.managers.iter().cloned()).collect();
    managers.sort();
    managers.dedup();
    let verdict = |state, message: Option<String>| Verdict {
        default: rule.name.clone(),
        state,
        weight: rule.weight,
        in_template: gaps.iter().all(|gap| gap.adds().is_none()),
        managers: managers.clone(),
        message,
    };
    // the check is the author's own word for "does it", so it goes before any comparison of values
    let check = rule
        .compiled_check()
        .map(|compiled| compiled.map_err(ToOwned::to_owned).and_then(|compiled| view.holds(compiled)));
    match &check {
        Some(Ok(true)) => return verdict(VerdictState::SatisfiedByTeam, None),
        Some(Err(error)) => return verdict(VerdictState::Missing, Some(format!("the check fails to run: {error}"))),
        Some(Ok(false)) if gaps.is_empty() => return verdict(VerdictState::Missing, Some(advice(rule))),
        _ => {}
    }
    if is_skipped(&view.object) && gaps.iter().any(|g| g.whose != Whose::Teams) {
        let message = format!("annotation {}: \"{}\" is set", labels::SKIP, labels::SKIP_ALL);
        return verdict(VerdictState::Overridden, Some(message));
    }
    // worst leaf first
    let (state, message) = gaps
        .iter()
        .map(|gap| leaf_verdict(gap, standing, rollout, check.is_some()))
        .min_by_key(|(state, _)| *state)
        .unwrap_or((VerdictState::SatisfiedByTeam, None));
    verdict(state, message)
}

/// A workload as its team wrote it: without the road's own values. Checks are asked about this.
struct TeamsView<'a> {
    kind: WorkloadKind,
    object: Cow<'a, Value>,
    namespace: &'a Value,
}

impl<'a> TeamsView<'a> {
    fn of(workload: Subjected<'a>, gaps: &[Gap<'_>]) -> Self {
        let kind = workload.kind;
        let mut object = Cow::Borrowed(workload.object);
        for gap in gaps.iter().filter(|g| g.whose == Whose::Roads) {
            let mut path: Vec<String> = kind.template_path().iter().map(|s| (*s).to_owned()).collect();
            path.push("spec".to_owned());
            if let (Some(list), Some((index, _))) = (gap.road.leaf.place.list(), &gap.container) {
                path.extend([list.to_owned(), index.to_string()]);
            }
            if let Some(root) = object.to_mut().pointer_mut(&format!("/{}", path.join("/"))) {
                take(root, &gap.road.leaf);
            }
        }
        Self { kind, object, namespace: workload.namespace }
    }

    fn holds(&self, check: &Check) -> Result<bool, String> {
        let template = template(self.kind, &self.object);
        let subject = Subject { object: &self.object, namespace_object: self.namespace, template };
        check.evaluate(&subject).map_err(|e| e.to_string())
    }
}

fn leaf_verdict(
    gap: &Gap<'_>,
    standing: &Standing,
    rollout: Option<&str>,
    checked: bool,
) -> (VerdictState, Option<String>) {
    let field = gap.field();
    match (gap.whose, gap.wish) {
        (Whose::Teams, Some(wish)) if gap.current.as_ref() == Some(&wish.value) => {
            (VerdictState::SatisfiedByTeam, None)
        }
        (Whose::Teams, Some(wish)) => {
            let own = gap.current.as_ref().map(brief).unwrap_or_default();
            let failed = if checked { ", and the check does not hold" } else { "" };
            (
                VerdictState::Overridden,
                Some(format!("{field} is {own}, the road's value is {}{failed}", brief(&wish.value))),
            )
        }
        _ if gap.yields && gap.whose == Whose::Nobodys => (VerdictState::SatisfiedByTeam, None),
        (_, None) => (VerdictState::SatisfiedByTeam, None),
        (Whose::Roads, Some(_)) if gap.adds().is_none() && !gap.yields && *standing != Standing::Leaving => {
            match rollout {
                None => (VerdictState::Applied, None),
                Some(wait) => (VerdictState::PendingRollout, Some(wait.to_owned())),
            }
        }
        (whose, Some(_)) => absent(&field, whose, standing),
    }
}

fn absent(field: &str, whose: Whose, standing: &Standing) -> (VerdictState, Option<String>) {
    let what = if whose == Whose::Roads { "changes" } else { "is filled" };
    match standing {
        Standing::Observed => (VerdictState::Missing, Some(format!("{field} is open; mode: Observe fills nothing"))),
        Standing::Adopted => {
            (VerdictState::PendingRollout, Some(format!("{field} {what} with the team's next rollout")))
        }
        Standing::NotLabelled(why) => (VerdictState::Missing, Some(why.clone())),
        // judged before by its annotation
        Standing::BrokenGlass => (VerdictState::Overridden, None),
        Standing::Leaving => (VerdictState::Missing, Some(format!("{field} leaves with the team's next rollout"))),
        Standing::NotFilled => (
            VerdictState::Missing,
            Some(format!("NotFilled: the template changed and {field} did not come; see the events of the GoldenPath")),
        ),
    }
}

fn advice(rule: &Rule) -> String {
    rule.hint.clone().unwrap_or_else(|| format!("the check of {} does not hold", rule.name))
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

/// The weight of what is in place, and of what applies.
#[must_use]
pub fn weights<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Weights {
    let mut weights = Weights::default();
    for verdict in verdicts {
        let weight = u64::try_from(verdict.weight).unwrap_or(0);
        match verdict.state {
            VerdictState::Applied | VerdictState::SatisfiedByTeam => weights.good += weight,
            VerdictState::Missing | VerdictState::PendingRollout => {}
            VerdictState::Overridden => continue,
        }
        weights.all += weight;
    }
    weights
}

/// Weight of the defaults that are in place, and of those that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    /// Weight of what is in place.
    pub good: u64,
    /// Weight of what applies.
    pub all: u64,
}

impl Weights {
    /// One over the other: "0.92". Nothing where nothing applies, since nothing of nothing is neither good nor bad.
    #[must_use]
    pub fn score(self) -> Option<String> {
        // whole hundredths, rounded down: 0.995 is not 1.00
        let hundredths = (self.good * 100).checked_div(self.all)?;
        Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
    }
}

/// The state that verdicts add up to. `was` is the state before, if it was of the same revision.
///
/// A rollout that brings nothing new to the template is not drift: pods that restart leave the state as it was.
#[must_use]
pub fn state(verdicts: &[Verdict], standing: &Standing, was: Option<State>) -> State {
    let any = |open: fn(&Verdict) -> bool| verdicts.iter().any(open);
    let missing = any(|v| v.state == VerdictState::Missing);
    let pending = any(|v| v.state == VerdictState::PendingRollout);
    let only_rolls_out = !missing && !any(|v| v.state == VerdictState::PendingRollout && !v.in_template);
    let was_adopted = matches!(was, Some(State::Adopted | State::Drifted));
    match standing {
        Standing::Observed | Standing::Leaving => State::Observing,
        Standing::BrokenGlass if was_adopted => State::Drifted,
        Standing::BrokenGlass => State::Migrating,
        _ if !missing && !pending => State::Adopted,
        _ if was == Some(State::Adopted) && only_rolls_out => State::Adopted,
        _ if was_adopted => State::Drifted,
        _ => State::Migrating,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::api::VerdictState::{Applied, Missing, Overridden, PendingRollout, SatisfiedByTeam};
    use crate::api::{GoldenPath, PathDefault};

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
        let mut path =
            GoldenPath::new("web", crate::api::GoldenPathSpec { defaults: vec![default], ..Default::default() });
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
        verdicts(subject, &revision(check), standing).remove(0)
    }

    #[rstest]
    #[case::open_and_adopted(deployment(None, false), Standing::Adopted, PendingRollout)]
    #[case::open_and_observed(deployment(None, false), Standing::Observed, Missing)]
    #[case::open_and_refused(deployment(None, false), Standing::NotLabelled("no".into()), Missing)]
    #[case::open_after_a_rollout(deployment(None, false), Standing::NotFilled, Missing)]
    #[case::filled(deployment(Some(true), false), Standing::Adopted, Applied)]
    #[case::equal_by_the_team(deployment(Some(true), true), Standing::Adopted, SatisfiedByTeam)]
    #[case::other_by_the_team(deployment(Some(false), true), Standing::Adopted, Overridden)]
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
    fn the_score_counts_weights_and_leaves_overrides_out() {
        let verdict = |state, weight| Verdict { state, weight, ..blank() };
        let score = |verdicts: &[Verdict]| weights(verdicts).score().unwrap_or_default();
        assert_eq!(score(&[verdict(Applied, 2), verdict(Missing, 1)]), "0.66");
        assert_eq!(score(&[verdict(SatisfiedByTeam, 1), verdict(Overridden, 9)]), "1.00");
        assert_eq!(score(&[verdict(Applied, 199), verdict(Missing, 1)]), "0.99");
        assert_eq!(score(&[verdict(Overridden, 1)]), "", "nothing applies");
    }

    fn blank() -> Verdict {
        let state = Missing;
        Verdict { default: String::new(), state, weight: 1, in_template: true, managers: vec![], message: None }
    }

    #[rstest]
    #[case::nothing_open(Applied, true, None, State::Adopted)]
    #[case::open_for_the_first_time(PendingRollout, false, Some(State::Migrating), State::Migrating)]
    #[case::open_again(Missing, true, Some(State::Adopted), State::Drifted)]
    #[case::a_value_is_gone(PendingRollout, false, Some(State::Adopted), State::Drifted)]
    #[case::still_open_again(PendingRollout, true, Some(State::Drifted), State::Drifted)]
    #[case::the_first_rollout(PendingRollout, true, Some(State::Migrating), State::Migrating)]
    #[case::an_ordinary_rollout(PendingRollout, true, Some(State::Adopted), State::Adopted)]
    fn states_add_up(
        #[case] verdict: VerdictState,
        #[case] in_template: bool,
        #[case] was: Option<State>,
        #[case] expected: State,
    ) {
        let verdict = Verdict { state: verdict, in_template, ..blank() };
        assert_eq!(state(&[verdict], &Standing::Adopted, was), expected);
    }

    #[test]
    fn behind_broken_glass_nobody_is_on_the_road() {
        let verdict = Verdict { state: Overridden, ..blank() };
        assert_eq!(state(std::slice::from_ref(&verdict), &Standing::BrokenGlass, Some(State::Adopted)), State::Drifted);
        assert_eq!(state(&[verdict], &Standing::BrokenGlass, None), State::Migrating);
    }
}

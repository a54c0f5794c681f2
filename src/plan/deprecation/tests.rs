//! The stages of Deprecations over time, in hours since 1970.

mod honest;

use rstest::rstest;
use serde_json::json;

use super::stage::{Level, Step, Why, advance, level};
use super::{Facts, Left, PathFacts};
use crate::api::DeprecationStage::{self, *};
use crate::api::{
    Brownout, BrownoutAction, DeprecationMatch, DeprecationSpec, DeprecationStatus, Gate, Gates, GoldenPath,
    PathReference, Replacement, ReplacementStage, Stage, Timeline,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(hour * 3600).unwrap()
}

fn time(hour: i64) -> Time {
    Time(at(hour))
}

/// Announced at 0, warned of at 10, blocked at 20 and 30, removed at 40; five hours of notice.
fn spec() -> DeprecationSpec {
    DeprecationSpec {
        matches: vec![DeprecationMatch { name: "class".into(), ..DeprecationMatch::default() }],
        replacement: Some(Replacement {
            golden_path_ref: Some(PathReference { name: "web".into() }),
            ..Replacement::default()
        }),
        timeline: Timeline {
            announce_at: Some(time(0)),
            warn_at: Some(time(10)),
            block_create_at: Some(time(20)),
            block_update_at: Some(time(30)),
            remove_at: Some(time(40)),
        },
        gates: Gates { min_notice: "5h".into(), ..Gates::default() },
        ..DeprecationSpec::default()
    }
}

fn open() -> Facts {
    Facts {
        path: Some(PathFacts { stage: Stage::Stable, adopters: 1, adopted: 1, eligible: 4, objective: Some(true) }),
        left: Some(Left { remaining: 3, ever: 10 }),
    }
}

/// One Deprecation that is looked at again and again.
struct Story {
    spec: DeprecationSpec,
    facts: Facts,
    status: DeprecationStatus,
}

impl Story {
    fn new(spec: DeprecationSpec) -> Self {
        Self { spec, facts: open(), status: DeprecationStatus::default() }
    }

    /// One look.
    fn look(&mut self, hour: i64) -> Step {
        let step = advance(&self.spec, at(0), Some(&self.status), &self.facts, at(hour));
        self.status.stage = step.stage;
        self.status.stages.clone_from(&step.stages);
        self.status.matches.clone_from(&step.matches);
        self.status.brownouts.clone_from(&step.brownouts);
        step
    }

    /// Looks until nothing changes any more; the stages that were passed.
    fn settles(&mut self, hour: i64) -> Vec<DeprecationStage> {
        let passed = std::iter::from_fn(|| self.look(hour).change.map(|change| change.to)).take(20);
        passed.collect()
    }

    fn through(&mut self, hours: &[i64]) {
        for hour in hours {
            self.settles(*hour);
        }
    }

    fn held(&mut self, hour: i64) -> Vec<Gate> {
        self.settles(hour);
        self.look(hour).next.map(|next| next.held_by).unwrap_or_default()
    }
}

#[test]
fn each_stage_comes_at_its_date_and_the_last_one_when_the_old_way_is_gone() {
    let mut story = Story::new(spec());
    let hours = [-1, 0, 9, 10, 19, 20, 30, 39, 40];
    let seen: Vec<_> = hours.into_iter().map(|hour| (story.settles(hour), story.status.stage).1).collect();
    let expected =
        [Planned, Announced, Announced, Warning, Warning, CreateBlocked, UpdateBlocked, UpdateBlocked, Removed];
    assert_eq!(seen, expected);
    assert_eq!(story.held(41), [Gate::Remaining, Gate::Removed]);
    story.facts.left = Some(Left { remaining: 0, ever: 10 });
    story.spec.removed = true;
    assert_eq!(story.settles(42), [Completed]);
    let entered: Vec<_> = story.status.stages.iter().map(|entry| (entry.stage, entry.entered_at.0)).collect();
    let times =
        [(Announced, 0), (Warning, 10), (CreateBlocked, 20), (UpdateBlocked, 30), (Removed, 40), (Completed, 42)];
    assert_eq!(entered, times.map(|(stage, hour)| (stage, at(hour))));
}

#[test]
fn a_second_look_changes_nothing() {
    let mut story = Story::new(spec());
    for hour in 0..50 {
        story.settles(hour);
        let before = story.status.clone();
        let (one, two) = (story.look(hour), story.look(hour));
        assert_eq!((&one, &before), (&two, &story.status));
        let next = one.next_change.filter(|next| *next > at(hour));
        assert_eq!(next, one.next_change, "nothing is due after a look that changed nothing");
    }
}

#[test]
fn what_is_late_is_caught_up_with_one_honest_step_at_a_time() {
    // all of it in the past, and seen first at 100: notice is owed, and each stage lasts as long as it was meant to, up
    // to the five hours of notice
    let mut story = Story::new(spec());
    let mut seen = Vec::new();
    for hour in 100..125 {
        seen.extend(story.settles(hour).into_iter().map(|stage| (stage, hour)));
    }
    let expected = [(Announced, 100), (Warning, 100), (CreateBlocked, 105), (UpdateBlocked, 110), (Removed, 115)];
    assert_eq!(seen, expected);
    assert_eq!(Story::new(spec()).look(100).change.unwrap().to, Announced, "one step a look");
}

#[test]
fn an_operator_that_was_away_over_the_warning_warns_first() {
    let mut story = Story::new(spec());
    story.settles(0);
    assert_eq!(story.settles(25), [Warning], "announced long ago, but nobody was warned");
    let next = story.look(25).next.unwrap();
    assert_eq!((next.stage, next.at, next.held_by), (CreateBlocked, Some(time(30)), vec![]));
    assert_eq!((story.settles(29), story.settles(30)), (vec![], vec![CreateBlocked]));
}

#[rstest]
#[case::no_path(|s: &mut Story| s.facts.path = None, Gate::ReplacementStage)]
#[case::no_replacement(|s: &mut Story| s.spec.replacement = None, Gate::ReplacementStage)]
#[case::too_early(|s: &mut Story| s.facts.path.as_mut().unwrap().stage = Stage::Preview, Gate::ReplacementStage)]
#[case::it_ends_too(|s: &mut Story| s.facts.path.as_mut().unwrap().stage = Stage::Retiring, Gate::ReplacementStage)]
#[case::no_adopters(|s: &mut Story| s.facts.path.as_mut().unwrap().adopters = 0, Gate::MinReplacementAdopters)]
#[case::share(|s: &mut Story| s.spec.gates.min_replacement_adoption_percent = Some(26), Gate::MinReplacementAdoptionPercent)]
#[case::missed(|s: &mut Story| s.facts.path.as_mut().unwrap().objective = Some(false), Gate::RequireObjectiveMet)]
#[case::unknown(|s: &mut Story| s.facts.path.as_mut().unwrap().objective = None, Gate::RequireObjectiveMet)]
#[case::notice(|s: &mut Story| s.spec.gates.min_notice = "100h".into(), Gate::MinNotice)]
#[case::paused(|s: &mut Story| s.spec.paused = true, Gate::Paused)]
fn a_closed_gate_holds_every_block_and_says_which_it_is(#[case] close: fn(&mut Story), #[case] gate: Gate) {
    let mut story = Story::new(spec());
    story.settles(0);
    story.settles(10);
    close(&mut story);
    for hour in [20, 30, 40, 60] {
        assert_eq!((story.held(hour), story.status.stage), (vec![gate], Warning));
        assert!(story.look(hour).held.iter().all(|closed| closed.message.len() > 20));
    }
}

#[rstest]
#[case::is_there(|s: &mut Story| s.spec.gates.min_replacement_adoption_percent = Some(25))]
#[case::preview(|s: &mut Story| {
    s.spec.gates.replacement_stage = ReplacementStage::Preview;
    s.facts.path.as_mut().unwrap().stage = Stage::Preview;
})]
#[case::no_path_is_asked_for(|s: &mut Story| {
    s.spec.replacement = None;
    s.spec.gates.replacement_stage = ReplacementStage::None;
})]
#[case::no_objective_is_asked_for(|s: &mut Story| {
    s.spec.gates.require_objective_met = false;
    s.facts.path.as_mut().unwrap().objective = Some(false);
})]
fn an_open_gate_holds_nothing(#[case] open: fn(&mut Story)) {
    let mut story = Story::new(spec());
    open(&mut story);
    story.through(&[0, 10, 20]);
    assert_eq!(story.status.stage, CreateBlocked);
}

#[test]
fn what_is_left_holds_a_block_of_what_exists_alone() {
    let mut story = Story::new(spec());
    story.spec.gates.max_remaining_percent = Some(29);
    story.through(&[0, 10, 20, 30]);
    assert_eq!((story.held(30), story.status.stage), (vec![Gate::MaxRemainingPercent], CreateBlocked));
    story.facts.left = None;
    assert_eq!(story.held(31), [Gate::MaxRemainingPercent], "what is not known holds");
    story.facts.left = Some(Left { remaining: 29, ever: 100 });
    assert_eq!(story.settles(32), [UpdateBlocked]);
}

#[test]
fn a_gate_that_closes_again_lifts_the_block_to_a_warning() {
    let mut story = Story::new(spec());
    story.through(&[0, 10, 20, 30]);
    story.facts.path.as_mut().unwrap().objective = None;
    assert_eq!(story.look(31).change, None, "an operator that knows nothing yet lifts nothing");
    story.facts.path.as_mut().unwrap().objective = Some(false);
    let change = story.look(32).change.unwrap();
    assert_eq!((change.from, change.to), (UpdateBlocked, Warning));
    let Why::GateClosed(gates) = change.why else { panic!("{:?}", change.why) };
    assert_eq!(gates[0].message, "gates.requireObjectiveMet: GoldenPath web misses its objective");
    assert_eq!(story.settles(33), []);
    // open again: who was warned all the time is blocked from creating, and the next step has its time again
    story.facts = open();
    assert_eq!(
        (story.settles(34), story.settles(38), story.settles(39)),
        (vec![CreateBlocked], vec![], vec![UpdateBlocked])
    );
}

#[rstest]
#[case::to_later(|s: &mut Story| s.spec.timeline.block_update_at = Some(time(90)), CreateBlocked)]
#[case::both(|s: &mut Story| { s.spec.timeline.block_create_at = Some(time(80)); s.spec.timeline.block_update_at = Some(time(90)) }, Warning)]
#[case::taken_out(|s: &mut Story| { s.spec.timeline.block_create_at = None; s.spec.timeline.block_update_at = None }, Warning)]
#[case::all_of_it(|s: &mut Story| s.spec.timeline = Timeline { announce_at: Some(time(90)), ..Timeline::default() }, Planned)]
fn a_date_that_moves_lifts_what_it_began(#[case] moves: fn(&mut Story), #[case] to: DeprecationStage) {
    let mut story = Story::new(spec());
    story.through(&[0, 10, 20, 30]);
    story.spec.paused = true;
    moves(&mut story);
    let change = story.look(31).change.unwrap();
    assert_eq!((change.to, change.why), (to, Why::DateMoved));
    assert!(story.status.stages.iter().all(|entry| entry.stage <= to));
}

#[test]
fn paused_keeps_what_is_in_force_and_begins_nothing() {
    let mut story = Story::new(spec());
    story.through(&[0, 10, 20]);
    story.spec.paused = true;
    assert_eq!((story.settles(35), story.status.stage), (vec![], CreateBlocked));
    story.spec.paused = false;
    assert_eq!(story.settles(36), [UpdateBlocked]);
}

#[test]
fn who_comes_back_ends_the_end() {
    let mut story = Story::new(spec());
    story.facts.left = Some(Left { remaining: 0, ever: 10 });
    story.spec.removed = true;
    story.through(&[0, 10, 20, 30, 40]);
    assert_eq!(story.status.stage, Completed);
    story.facts.left = Some(Left { remaining: 1, ever: 11 });
    let change = story.look(50).change.unwrap();
    assert_eq!((change.to, change.why), (Removed, Why::InUseAgain));
}

#[test]
fn a_match_that_was_changed_is_owed_its_notice() {
    let mut story = Story::new(spec());
    story.through(&[0, 10, 20]);
    assert_eq!(story.look(21).noticed, ["class"]);
    story.spec.matches[0].expression = Some("true".into());
    story.spec.matches.push(DeprecationMatch { name: "more".into(), ..DeprecationMatch::default() });
    let step = story.look(22);
    assert_eq!((step.stage, step.noticed, step.next_change), (CreateBlocked, vec![], Some(at(27))));
    assert_eq!(story.look(26).noticed, [""; 0]);
    assert_eq!(story.look(27).noticed, ["class", "more"]);
}

#[test]
fn what_holds_a_stage_holds_a_changed_match_and_not_one_that_refused_before() {
    let mut story = Story::new(spec());
    story.through(&[0, 10, 20]);
    story.spec.matches.push(DeprecationMatch { name: "more".into(), ..DeprecationMatch::default() });
    story.look(21);
    story.spec.paused = true;
    assert_eq!(story.look(27).noticed, ["class"]);
    story.spec.paused = false;
    story.facts.path.as_mut().unwrap().objective = None;
    assert_eq!(story.look(28).noticed, ["class"], "nor is it begun while a gate is unknown");
    story.facts = open();
    assert_eq!(story.look(29).noticed, ["class", "more"]);
    story.spec.paused = true;
    assert_eq!(story.look(30).noticed, ["class", "more"]);
}

#[test]
fn a_brownout_is_left_out_where_the_warning_came_late() {
    let mut spec = spec();
    let action = BrownoutAction::DenyCreate;
    spec.brownouts = vec![Brownout { name: "new".into(), start_at: time(15), duration: "2h".into(), action }];
    for (warned, there) in [(10, true), (11, false), (15, false), (16, false)] {
        let mut story = Story::new(spec.clone());
        story.through(&[0, warned]);
        assert_eq!(story.status.stage, Warning);
        assert_eq!(!story.look(16).brownouts.is_empty(), there, "warned at {warned}");
    }
}

#[test]
fn a_brownout_is_there_in_its_time_alone_and_only_while_the_gates_are_open() {
    let mut spec = spec();
    let brownout =
        |name: &str, action| Brownout { name: name.into(), start_at: Time(at(15)), duration: "1h30m".into(), action };
    spec.brownouts = vec![brownout("new", BrownoutAction::DenyCreate), brownout("all", BrownoutAction::DenyUpdate)];
    let mut story = Story::new(spec);
    story.through(&[0, 10]);
    let there = |story: &mut Story, hour| story.look(hour).brownouts;
    assert_eq!(there(&mut story, 14), [""; 0]);
    assert_eq!(story.look(14).next_change, Some(Timestamp::from_second(15 * 3600 - 60).unwrap()));
    assert_eq!(
        (there(&mut story, 15), there(&mut story, 16)),
        (vec!["new".into(), "all".into()], vec!["new".into(), "all".into()])
    );
    assert_eq!(there(&mut story, 17), [""; 0]);
    story.facts.path.as_mut().unwrap().adopters = 0;
    assert_eq!(there(&mut story, 15), [""; 0]);
    story.facts = open();
    story.facts.left = None;
    story.spec.gates.max_remaining_percent = Some(50);
    assert_eq!(there(&mut story, 15), ["new"], "what is not known lets none begin");
    story.facts = open();
    assert_eq!(there(&mut story, 15), ["new", "all"]);
    story.facts.left = None;
    story.spec.paused = true;
    assert_eq!(there(&mut story, 15), ["new", "all"], "what is not known ends none, and nor does a pause");
    assert_eq!(there(&mut story, 17), [""; 0]);
    story.facts = open();
    assert_eq!(there(&mut story, 15), [""; 0]);
    story.spec.paused = false;
    story.spec.gates.min_notice = "16h".into();
    assert_eq!((there(&mut story, 15).len(), there(&mut story, 16).len()), (0, 2), "notice is owed here too");
    story.spec.timeline.block_create_at = Some(time(11));
    story.settles(16);
    assert_eq!(there(&mut story, 16), ["all"], "what is refused anyway needs no brownout");
}

#[rstest]
#[case::met("True", Some(true))]
#[case::missed("False", Some(false))]
#[case::unknown("Unknown", None)]
#[case::nobody_asked("", None)]
fn the_facts_of_a_path_are_those_of_its_status(#[case] objective: &str, #[case] expected: Option<bool>) {
    let mut conditions = vec![json!({"type": "Ready", "status": "True"})];
    if !objective.is_empty() {
        conditions.push(json!({"type": "ObjectiveMet", "status": objective}));
    }
    for condition in &mut conditions {
        condition["lastTransitionTime"] = json!("2026-11-26T00:00:00Z");
        condition["reason"] = json!("R");
        condition["message"] = json!("m");
    }
    let path: GoldenPath = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"stage": "Preview"},
        "status": {
            "adoption": {
                "workloads": {"adopted": 3, "claimed": 4, "eligible": 9, "percent": "33.3"},
                "teams": {"adopted": 0, "claimed": 0, "total": 0, "percent": "0.0"},
                "services": {"adopted": 2, "total": 5, "voluntary": 0},
            },
            "conditions": conditions,
        },
    }))
    .unwrap();
    let facts = PathFacts { stage: Stage::Preview, adopters: 2, adopted: 3, eligible: 9, objective: expected };
    assert_eq!(PathFacts::of(&path), facts);
    let unseen = PathFacts::of(&GoldenPath { status: None, ..path });
    assert_eq!(unseen, PathFacts { adopters: 0, adopted: 0, eligible: 0, objective: None, ..facts });
}

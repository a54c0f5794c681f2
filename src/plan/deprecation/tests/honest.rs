//! What must hold of every step, in every order of dates and after every history.

use proptest::prelude::*;

use super::*;
use crate::plan::deprecation::closed;
use crate::plan::deprecation::gates::notice_end;

/// What must hold of every step, whatever was before.
fn is_honest(story: &Story, before: &DeprecationStatus, step: &Step, now: Timestamp) -> Result<(), String> {
    let said = |text: &str| Err(format!("{text}: {step:?} after {before:?} of {:?}", story.spec));
    let timeline = &story.spec.timeline;
    let rose = step.stage > before.stage;
    if rose && step.change.as_ref().is_none_or(|change| change.why != Why::Due) {
        return said("it rose without being due");
    }
    if step.stage < before.stage && step.change.as_ref().is_none_or(|change| change.why == Why::Due) {
        return said("it fell without a reason");
    }
    if step.stage == before.stage && step.change.is_some() {
        return said("a change of nothing");
    }
    let dates = [
        (Warning, &timeline.warn_at),
        (CreateBlocked, &timeline.block_create_at),
        (UpdateBlocked, &timeline.block_update_at),
        (Removed, &timeline.remove_at),
    ];
    let skipped = dates.iter().filter(|(stage, date)| date.is_some() && *stage > before.stage && *stage < step.stage);
    if rose && skipped.count() > 0 {
        return said("a stage was left out");
    }
    if step.stage >= CreateBlocked {
        let announced = step.stages.iter().find(|entry| entry.stage == Announced).map(|entry| entry.entered_at.0);
        let notice = notice_end(&story.spec, announced.unwrap_or(Timestamp::MAX));
        // what is completed stays so under a longer notice, and then blocks nothing that has not had it
        if notice > now && (step.stage != Completed || !step.noticed.is_empty()) {
            return said("a block without its notice");
        }
        let closed = closed(&story.spec, step.stage, announced, &story.facts, now);
        if closed.iter().any(|closed| closed.known || rose) {
            return said("a block in spite of its gates");
        }
        let date =
            dates.iter().find(|(stage, _)| *stage == step.stage.min(Removed)).and_then(|(_, date)| date.as_ref());
        if date.is_none_or(|date| date.0 > now) {
            return said("a block before its date");
        }
    }
    let denies = level(timeline, step.stage) >= Level::DenyCreate;
    if denies && timeline.block_create_at.is_none() && step.stage != UpdateBlocked {
        return said("a block that nobody asked for");
    }
    Ok(())
}

#[test]
fn every_order_of_dates_is_honest() {
    let dates: Vec<Option<i64>> = vec![None, Some(1), Some(3), Some(4), Some(6)];
    let n = dates.len();
    for case in 0..n.pow(5) {
        let date = |k: usize| dates[case / n.pow(u32::try_from(k).unwrap()) % n].map(time);
        let timeline = Timeline {
            announce_at: date(0),
            warn_at: date(1),
            block_create_at: date(2),
            block_update_at: date(3),
            remove_at: date(4),
        };
        // gates that are open, closed, close at 5, open at 5
        for gates in 0..4 {
            let mut story = Story::new(DeprecationSpec { timeline: timeline.clone(), ..spec() });
            story.spec.gates.min_notice = "2h".into();
            story.spec.removed = case % 2 == 0;
            for hour in 0..12 {
                let is_open = [true, false, hour < 5, hour >= 5][gates];
                story.facts.path.as_mut().unwrap().adopters = i64::from(is_open);
                story.facts.left = Some(Left { remaining: i64::from(hour < 8), ever: 1 });
                for look in 0.. {
                    let before = story.status.clone();
                    let step = story.look(hour);
                    is_honest(&story, &before, &step, at(hour)).unwrap();
                    if step.change.is_none() {
                        break;
                    }
                    assert!(look < 8, "it never settles: {step:?}");
                }
            }
        }
    }
}

fn hour() -> impl Strategy<Value = Option<Time>> {
    prop_oneof![1 => Just(None), 4 => (0i64..40).prop_map(|hour| Some(time(hour)))]
}

prop_compose! {
    fn any_spec()(
        announce_at in hour(), warn_at in hour(), block_create_at in hour(), block_update_at in hour(), remove_at in hour(),
        notice in 0u8..12, percent in proptest::option::of(0i32..100), paused in any::<bool>(), removed in any::<bool>(),
        objective in any::<bool>(), named in any::<bool>(), needed in 0u8..3, edited in 0u8..3,
    ) -> DeprecationSpec {
        let mut spec = spec();
        spec.timeline = Timeline { announce_at, warn_at, block_create_at, block_update_at, remove_at };
        spec.gates = Gates {
            min_notice: format!("{notice}h"),
            max_remaining_percent: percent,
            require_objective_met: objective,
            replacement_stage: [ReplacementStage::None, ReplacementStage::Preview, ReplacementStage::Stable][usize::from(needed)],
            ..Gates::default()
        };
        spec.replacement = spec.replacement.filter(|_| named);
        spec.matches[0].expression = (edited > 0).then(|| format!("{edited} > 0"));
        DeprecationSpec { paused, removed, ..spec }
    }
}

prop_compose! {
    fn any_facts()(
        there in any::<bool>(), stage in 0usize..3, adopters in 0i64..2, objective in any::<Option<bool>>(),
        remaining in 0i64..4, known in any::<bool>(),
    ) -> Facts {
        let stage = [Stage::Preview, Stage::Stable, Stage::Retiring][stage];
        Facts {
            path: there.then_some(PathFacts { stage, adopters, adopted: 1, eligible: 2, objective }),
            left: known.then_some(Left { remaining, ever: 4 }),
        }
    }
}

proptest! {
    #[test]
    fn no_history_of_edits_and_facts_leads_to_a_block_without_notice(
        looks in proptest::collection::vec((any_spec(), any_facts(), 0i64..6), 1..30),
    ) {
        let mut story = Story::new(spec());
        let mut hour = 0;
        for (spec, facts, later) in looks {
            hour += later;
            (story.spec, story.facts) = (spec, facts);
            for _ in 0..3 {
                let before = story.status.clone();
                let step = story.look(hour);
                is_honest(&story, &before, &step, at(hour)).map_err(TestCaseError::fail)?;
                let since = |name: &str| story.status.matches.iter().find(|entry| entry.name == name).unwrap().announced_at.0;
                for name in &step.noticed {
                    prop_assert!(notice_end(&story.spec, since(name)) <= at(hour));
                }
            }
        }
    }
}

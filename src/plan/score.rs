//! Sums over verdicts: the score of a workload and its state.

use super::verdict::{Standing, Verdict};
use crate::api::{State, VerdictState};

/// The weight of what is in place, and of what applies.
#[must_use]
pub fn weights<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Weights {
    let mut weights = Weights::default();
    for verdict in verdicts {
        let weight = u64::try_from(verdict.weight).unwrap_or(0);
        match verdict.state {
            VerdictState::Applied | VerdictState::SatisfiedByTeam => weights.good += weight,
            VerdictState::Missing
            | VerdictState::Conflict
            | VerdictState::RolledBack
            | VerdictState::PendingRollout => {}
            VerdictState::Overridden | VerdictState::Exempt => continue,
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
    let missing = any(|v| matches!(v.state, VerdictState::Missing | VerdictState::Conflict | VerdictState::RolledBack));
    let pending = any(|v| v.state == VerdictState::PendingRollout);
    let only_rolls_out = !missing && !any(|v| v.state == VerdictState::PendingRollout && !v.in_template);
    let was_adopted = matches!(was, Some(State::Adopted | State::Drifted));
    match standing {
        Standing::Observed | Standing::Leaving => State::Observing,
        Standing::BrokenGlass if was_adopted => State::Drifted,
        Standing::BrokenGlass => State::Migrating,
        _ if !verdicts.is_empty() && verdicts.iter().all(|v| v.state == VerdictState::Exempt) => State::Exempt,
        _ if !missing && !pending => State::Adopted,
        _ if was == Some(State::Adopted) && only_rolls_out => State::Adopted,
        _ if was_adopted => State::Drifted,
        _ => State::Migrating,
    }
}
#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::api::VerdictState::{Applied, Missing, Overridden, PendingRollout, SatisfiedByTeam};

    fn a_verdict() -> Verdict {
        Verdict {
            default: String::new(),
            state: Missing,
            weight: 1,
            in_template: true,
            owner: None,
            category: None,
            managers: vec![],
            message: None,
        }
    }
    #[test]
    fn the_score_counts_weights_and_leaves_overrides_out() {
        let verdict = |state, weight| Verdict { state, weight, ..a_verdict() };
        let score = |verdicts: &[Verdict]| weights(verdicts).score().unwrap_or_default();
        assert_eq!(score(&[verdict(Applied, 2), verdict(Missing, 1)]), "0.66");
        assert_eq!(score(&[verdict(SatisfiedByTeam, 1), verdict(Overridden, 9)]), "1.00");
        assert_eq!(score(&[verdict(Applied, 199), verdict(Missing, 1)]), "0.99");
        assert_eq!(score(&[verdict(Overridden, 1)]), "", "nothing applies");
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
        let verdict = Verdict { state: verdict, in_template, ..a_verdict() };
        assert_eq!(state(&[verdict], &Standing::Adopted, was), expected);
    }

    #[test]
    fn behind_broken_glass_nobody_is_on_the_road() {
        let verdict = Verdict { state: Overridden, ..a_verdict() };
        assert_eq!(state(std::slice::from_ref(&verdict), &Standing::BrokenGlass, Some(State::Adopted)), State::Drifted);
        assert_eq!(state(&[verdict], &Standing::BrokenGlass, None), State::Migrating);
    }
}

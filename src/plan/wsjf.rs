//! Weighted shortest job first: what a piece of work is worth over what it takes. One function for paths and Deprecations,
//! since a ranking is one of both.

use crate::api::Priority;

/// What it is worth, and what it takes.
fn parts(priority: &Priority) -> (u32, u32) {
    let Priority { business_value, time_criticality, risk_reduction, job_size } = priority;
    // the schema lets nothing below 1 in; an object that it never saw must not divide by zero
    let at_least_one = |number: &i32| u32::try_from(*number).unwrap_or(1).max(1);
    let worth = [business_value, time_criticality, risk_reduction].map(at_least_one);
    (worth.into_iter().fold(0, u32::saturating_add), at_least_one(job_size))
}

/// The number to rank by.
#[must_use]
pub fn ratio(priority: &Priority) -> f64 {
    let (worth, size) = parts(priority);
    f64::from(worth) / f64::from(size)
}

/// The same for people, with one decimal: "4.2".
#[must_use]
pub fn shown(priority: &Priority) -> String {
    let (worth, size) = parts(priority);
    let (worth, size) = (u64::from(worth), u64::from(size));
    let tenths = (worth * 20 + size) / (size * 2); // of integers, so that .05 is rounded up everywhere alike
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn priority([business_value, time_criticality, risk_reduction, job_size]: [i32; 4]) -> Priority {
        Priority { business_value, time_criticality, risk_reduction, job_size }
    }

    #[rstest]
    #[case::of_the_examples([5, 8, 8, 5], "4.2")]
    #[case::of_the_path([8, 5, 8, 3], "7.0")]
    #[case::rounded_up([5, 5, 7, 3], "5.7")]
    #[case::rounded_down([1, 1, 2, 3], "1.3")]
    #[case::half_a_tenth_goes_up([1, 1, 1, 20], "0.2")]
    #[case::the_largest([20, 20, 20, 1], "60.0")]
    #[case::what_no_schema_lets_in([0, -5, 1, 0], "3.0")]
    #[case::and_no_overflow([i32::MAX, i32::MAX, i32::MAX, 1], "4294967295.0")]
    fn what_it_is_worth_over_what_it_takes(#[case] parts: [i32; 4], #[case] expected: &str) {
        assert_eq!(shown(&priority(parts)), expected);
        let difference = ratio(&priority(parts)) - expected.parse::<f64>().unwrap();
        assert!(difference.abs() < 0.0501, "{difference}");
    }
}

//! What the API server says of itself: its version, and its time.

use k8s_openapi::apimachinery::pkg::version::Info;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The oldest version of Kubernetes that the operator works with, as `kubeVersion` of its chart says.
pub const OLDEST: (u32, u32) = (1, 33);

/// The HTTP header Date counts whole seconds (RFC 9110, 6.6.1).
const RESOLUTION: SignedDuration = SignedDuration::from_secs(1);

/// What is wrong with the API server's version, and what to do. Vendors write `36+` and the like, and a version that nobody
/// can read is believed to be good.
#[must_use]
pub fn too_old(version: &Info) -> Option<String> {
    let number =
        |text: &str| -> Option<u32> { text.trim_end_matches(|last: char| !last.is_ascii_digit()).parse().ok() };
    let found = (number(&version.major)?, number(&version.minor)?);
    let (major, minor) = OLDEST;
    (found < OLDEST).then(|| {
        format!(
            "the API server is of Kubernetes {}, and this operator needs {major}.{minor} or newer: upgrade the cluster, or \
             install an operator that was made for it",
            version.git_version
        )
    })
}

/// How far the API server's clock is ahead of ours: by the Date of an answer, and when its request began and the answer was
/// there by our clock. Nothing, where the three can be of one clock; else what is surely so and half of what may be.
#[must_use]
pub fn ahead(sent: Timestamp, received: Timestamp, date: Timestamp) -> SignedDuration {
    let (least, most) = (date.duration_since(received), (date.duration_since(sent)) + RESOLUTION);
    if least <= SignedDuration::ZERO && SignedDuration::ZERO <= most {
        return SignedDuration::ZERO;
    }
    least + (most - least) / 2
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::as_it_was_built("1", "33", true)]
    #[case::of_a_vendor("1", "33+", true)]
    #[case::newer("1", "40", true)]
    #[case::the_next_major("2", "0", true)]
    #[case::not_readable("", "x", true)]
    #[case::older("1", "32", false)]
    #[case::older_of_a_vendor("1", "29+", false)]
    fn a_version_that_is_too_old_is_named(#[case] major: &str, #[case] minor: &str, #[case] good: bool) {
        let git_version = format!("v{major}.{minor}.1-vendor");
        let info = Info { major: major.to_owned(), minor: minor.to_owned(), git_version, ..Info::default() };
        let wrong = too_old(&info);
        assert_eq!(wrong.is_none(), good, "{wrong:?}");
        assert!(wrong.is_none_or(|text| text.contains(&info.git_version) && text.contains("needs 1.33 or newer")));
    }

    #[test]
    fn the_chart_says_the_same() {
        let chart = include_str!("../../charts/goldenpath/Chart.yaml");
        assert!(chart.contains(&format!("kubeVersion: \">={}.{}.0-0\"", OLDEST.0, OLDEST.1)), "{chart}");
    }

    #[rstest]
    #[case::the_same_second(1_000, 1_050, 1, 0)]
    #[case::within_the_second(1_900, 1_950, 1, 0)]
    #[case::a_slow_answer(1_000, 9_000, 5, 0)]
    #[case::ours_is_behind(1_000, 1_100, 4, 3_450)]
    #[case::ours_is_ahead(10_000, 10_200, 1, -8_600)]
    fn two_clocks(#[case] sent: i64, #[case] received: i64, #[case] date: i64, #[case] expected: i64) {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let found = ahead(at(sent), at(received), at(date * 1_000));
        assert_eq!(found, SignedDuration::from_millis(expected));
    }

    #[test]
    fn what_is_put_right_is_off_by_half_a_second_and_half_the_journey_at_most() {
        for true_ahead in [-3_600_000, -2_345, 2_345, 3_600_000_i64] {
            for journey in [0, 40, 900] {
                for start in 0..40 {
                    let (sent, received) = (start * 50, start * 50 + journey);
                    let date = (sent + journey / 2 + true_ahead).div_euclid(1_000);
                    let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
                    let found = ahead(at(sent), at(received), at(date * 1_000));
                    let off = (found - SignedDuration::from_millis(true_ahead)).abs();
                    assert!(off <= SignedDuration::from_millis(501 + journey / 2), "{off:?}");
                }
            }
        }
    }
}

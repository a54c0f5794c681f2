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

/// How far the API server's clock is ahead of ours, at least: by the Date of an answer, and when its request began and the answer
/// was there by our clock. Nothing, where the three can be of one clock; else it takes the next looks to find the rest.
#[must_use]
pub fn ahead(sent: Timestamp, received: Timestamp, date: Timestamp) -> SignedDuration {
    let (least, most) = (date.duration_since(received), (date.duration_since(sent)) + RESOLUTION);
    SignedDuration::ZERO.max(least).min(most)
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
    #[case::ours_is_behind(1_000, 1_100, 4, 2_900)]
    #[case::ours_is_ahead(10_000, 10_200, 1, -8_000)]
    fn two_clocks(#[case] sent: i64, #[case] received: i64, #[case] date: i64, #[case] expected: i64) {
        let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
        let found = ahead(at(sent), at(received), at(date * 1_000));
        assert_eq!(found, SignedDuration::from_millis(expected));
    }

    #[test]
    fn what_is_put_right_comes_close_at_once_and_closer_with_each_look_and_stays() {
        for true_ahead in [-3_600_000, -2_345, -300, 0, 100, 2_345, 3_600_000_i64] {
            let mut known = 0;
            let mut corrections = 0;
            for look in 0..60 {
                // a look a minute, at every part of a second, on journeys of up to 40 ms
                let (start, journey) = (look * 60_000 + (look * 137) % 1_000, (look * 7) % 40);
                let at = |milliseconds| Timestamp::from_millisecond(milliseconds).unwrap();
                let (sent, received) = (at(start + known), at(start + known + journey));
                let date = at((start + journey / 2 + true_ahead).div_euclid(1_000) * 1_000);
                let by = i64::try_from(ahead(sent, received, date).as_millis()).unwrap();
                known += by;
                corrections += usize::from(by != 0);
                assert!((known - true_ahead).abs() <= 1_000 + journey, "{known} for {true_ahead}");
            }
            assert!((known - true_ahead).abs() <= 150 || known == 0, "{known} for {true_ahead}");
            assert!(corrections < 30, "{corrections} for {true_ahead}");
        }
    }
}

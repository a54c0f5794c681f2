//! Medians, spreads and percentiles. Pure.

use std::fmt;

use serde::Serialize;

/// One figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one
    pub median: f64,
    /// The least
    pub least: f64,
    /// The most
    pub most: f64,
}

impl Spread {
    /// Of at least one value; none gives nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }

    /// The same with another unit.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, least: self.least * factor, most: self.most * factor }
    }
}

/// A count as a number to calculate with.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of objects and bytes are far below 2^52")]
pub fn amount(count: usize) -> f64 {
    count as f64
}

/// Whether a number that was calculated with is that count.
#[must_use]
pub fn is(number: f64, count: f64) -> bool {
    (number - count).abs() < 0.5
}

/// Three significant digits, which is more than a shared machine repeats.
#[must_use]
pub fn short(value: f64) -> String {
    let decimals = match value.abs() {
        value if value >= 99.95 || value == 0.0 => 0,
        value if value >= 9.995 => 1,
        value if value >= 0.095 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// `median (least to most)`, or one number where all are the same.
impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, least, most] = [self.median, self.least, self.most].map(short);
        if least == most {
            return formatter.write_str(&median);
        }
        write!(formatter, "{median} ({least} to {most})")
    }
}

/// The value that `percent` of all values do not exceed: a value that was measured, never one in between.
#[must_use]
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_and_the_spread_is_what_was_seen() {
        let spread = Spread::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn percentiles_are_measured_values() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&hundred, p)), [50.0, 99.0, 100.0]);
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }

    #[test]
    fn figures_read_short() {
        assert_eq!(Spread::of([1.0, 2.0, 1234.5]).unwrap().to_string(), "2.00 (1.00 to 1234)");
        assert_eq!(Spread::of([0.0]).unwrap().to_string(), "0");
        assert_eq!([0.0123, 0.25, 12.34, 99.96].map(short), ["0.0123", "0.25", "12.3", "100"]);
    }
}

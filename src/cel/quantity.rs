//! Kubernetes quantities such as `100m` and `1.5Gi`, digit for digit as an API server computes with them
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).
//!
//! A crate was not taken: CEL asks whether a quantity "is an integer", and Kubernetes answers that from how the
//! quantity was written (`1` is, `1000m` is not), which no crate keeps.

use std::cmp::Ordering;

use thiserror::Error;

/// Places after the decimal point that are kept; smaller amounts round away from zero.
const NANO: i32 = 9;

/// An amount. Compares by value, however it was written: `1Gi` equals `1024Mi`.
#[derive(Clone, Debug)]
pub(super) struct Quantity {
    /// Billionths: exact for every amount below 10^29.
    nanos: i128,
    /// `value * 10^scale`, while it fits as in Go's fast path; only such an amount can be an integer.
    scaled: Option<(i64, i32)>,
}

/// Why a text is no amount to compute with.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no quantity.
    #[error("no quantity such as 100m, 0.5 or 1.5Gi")]
    NoQuantity,
    /// It is one, but of 10^29 and more.
    #[error("too large to compute with")]
    TooLarge,
}

impl Quantity {
    /// Reads a quantity.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Err(Unreadable::NoQuantity);
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let rest = rest.trim_start_matches('0');
        let (whole, rest) = digits(rest);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), digits);
        let suffix = Suffix::parse(suffix).ok_or(Unreadable::NoQuantity)?;
        Self::build(negative, whole, fraction, suffix).ok_or(Unreadable::TooLarge)
    }

    fn build(negative: bool, whole: &str, fraction: &str, suffix: Suffix) -> Option<Self> {
        let places = i32::try_from(fraction.len()).ok()?;
        let mantissa = format!("0{whole}{fraction}").parse::<i128>().ok();
        let sign = if negative { -1 } else { 1 };
        // Go takes the fast path, and keeps integers, only while the digits are few
        let length = i32::try_from(whole.len().max(1)).ok()? + places;
        let (factor, scale, spare) = match suffix {
            Suffix::Decimal(exponent) => (1, exponent.checked_sub(places)?, 18 - length),
            Suffix::Binary(bits) if places == 0 => {
                (1_i128 << bits, 0, 15 - length - i32::try_from(bits).ok()? * 3 / 10 - 1)
            }
            Suffix::Binary(bits) => (1_i128 << bits, -places, -1),
        };
        let amount = mantissa.and_then(|mantissa| mantissa.checked_mul(factor));
        let scaled = amount
            .and_then(|amount| i64::try_from(sign * amount).ok())
            .filter(|_| spare >= 0 && scale >= -NANO)
            .map(|value| (value, scale));
        let nanos = amount.and_then(|amount| shift(amount, scale.checked_add(NANO)?));
        let nanos = match suffix {
            Suffix::Binary(_) => nanos.unwrap_or(i128::MAX).min(i128::from(i64::MAX) * 1_000_000_000),
            Suffix::Decimal(_) => nanos?,
        };
        Some(Self { nanos: sign * nanos, scaled })
    }

    /// An amount of `whole` units.
    pub(super) fn from_int(whole: i64) -> Self {
        Self { nanos: i128::from(whole) * 1_000_000_000, scaled: Some((whole, 0)) }
    }

    /// The amount, if it was written as an integer that fits.
    pub(super) fn integer(&self) -> Option<i64> {
        let (value, scale) = self.scaled?;
        let factor = 10_i64.checked_pow(u32::try_from(scale).ok()?);
        if value == 0 { (scale >= 0).then_some(0) } else { value.checked_mul(factor?) }
    }

    /// `self + sign * other`; `None` if that is too large.
    pub(super) fn plus(&self, other: &Self, sign: i64) -> Option<Self> {
        let nanos = self.nanos.checked_add(other.nanos.checked_mul(i128::from(sign))?)?;
        let scaled = match (self.scaled, other.scaled) {
            (Some(a), Some((value, scale))) => add_scaled(a, (value.checked_mul(sign)?, scale)),
            _ => None,
        };
        Some(Self { nanos, scaled })
    }

    /// 1, 0 or -1.
    pub(super) fn signum(&self) -> i64 {
        i64::try_from(self.nanos.signum()).unwrap_or_default()
    }

    /// The nearest double, more or less.
    pub(super) fn approximate(&self) -> f64 {
        let (base, scale) = self.scaled.map_or((self.nanos, -NANO), |(value, scale)| (i128::from(value), scale));
        #[expect(clippy::cast_precision_loss)] // approximate by name
        let base = base as f64;
        // parsing rounds a power of ten correctly, `powi` does not
        if scale == 0 { base } else { base * format!("1e{scale}").parse().unwrap_or(1.0) }
    }
}

/// Compares two quantities by value, `1Gi` equals `1024Mi`; `None` where one of them cannot be read.
#[must_use]
pub fn compare_quantities(a: &str, b: &str) -> Option<Ordering> {
    Some(Quantity::parse(a).ok()?.cmp(&Quantity::parse(b).ok()?))
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn add_scaled((a, a_scale): (i64, i32), (b, b_scale): (i64, i32)) -> Option<(i64, i32)> {
    if b == 0 {
        return Some((a, a_scale));
    }
    if a == 0 {
        return Some((b, b_scale));
    }
    let scale = a_scale.min(b_scale);
    let lowered = |value: i64, from: i32| 10_i64.checked_pow(u32::try_from(from - scale).ok()?)?.checked_mul(value);
    Some((lowered(a, a_scale)?.checked_add(lowered(b, b_scale)?)?, scale))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `amount * 10^places`, rounded away from zero; `None` if it does not fit.
fn shift(amount: i128, places: i32) -> Option<i128> {
    if amount == 0 {
        return Some(0);
    }
    let power = 10_i128.checked_pow(places.unsigned_abs());
    if places >= 0 {
        return amount.checked_mul(power?);
    }
    Some(power.map_or(1, |power| amount / power + i128::from(amount % power != 0)))
}

#[derive(Clone, Copy)]
enum Suffix {
    Decimal(i32),
    Binary(u32),
}

impl Suffix {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => {
                let exponent = text.strip_prefix(['e', 'E'])?;
                Self::Decimal(exponent.parse::<i64>().ok().map(|e| i32::try_from(e).unwrap_or(i32::MAX))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Ordering, Quantity, Unreadable, compare_quantities};

    fn nanos(text: &str) -> i128 {
        Quantity::parse(text).unwrap().nanos
    }

    #[test]
    fn amounts_are_exact() {
        let whole = 1_000_000_000;
        for (text, expected) in [
            ("0", 0),
            ("1", whole),
            ("-1", -whole),
            ("+.5", whole / 2),
            ("100m", whole / 10),
            ("1.5Gi", 1_610_612_736 * whole),
            ("0.5", whole / 2),
            ("1e3", 1000 * whole),
            ("1E3", 1000 * whole),
            ("1e-3", whole / 1000),
            ("12E", 12_000_000_000_000_000_000 * whole),
            ("0.1n", 1),
            ("-0.1n", -1),
            ("1Ki", 1024 * whole),
            ("8Ei", i128::from(i64::MAX) * whole),
            ("00.10", whole / 10),
            ("1.", whole),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn amounts_compare_by_value() {
        assert_eq!(compare_quantities("1Gi", "1024Mi"), Some(Ordering::Equal));
        assert_eq!(compare_quantities("1.1Gi", "1100Mi"), Some(Ordering::Greater));
        assert_eq!(compare_quantities("99m", "0.1"), Some(Ordering::Less));
        assert_eq!(compare_quantities("1", "one"), None);
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", "1K", "1 Gi", "a", "1.2.3", "1MB", "1e", "--1", "1e1.5", "0x1", "1Gii", "Three"] {
            assert_eq!(Quantity::parse(text).unwrap_err(), Unreadable::NoQuantity, "{text}");
        }
        assert_eq!(Quantity::parse("1e100").unwrap_err(), Unreadable::TooLarge);
    }

    #[test]
    fn only_what_was_written_as_an_integer_is_one() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5k", Some(5000)),
            ("2Ki", Some(2048)),
            ("-3", Some(-3)),
            ("1e3", Some(1000)),
            ("1000m", None),
            ("1.0", None),
            ("1e30", None),
            ("0", Some(0)),
        ] {
            assert_eq!(Quantity::parse(text).ok().and_then(|q| q.integer()), expected, "{text}");
        }
    }
}

//! `int()`, `double()`, `string()`, `bool()`, `dyn()` and `type()`, with the texts that Go's `strconv` reads and writes.

use super::super::limits::Fault;
use super::super::signatures::Call;
use super::super::value::Value;
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

#[expect(clippy::unnecessary_wraps)] // has the shape of an implementation
pub(super) fn identity<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    Ok(call.args.first().cloned().unwrap_or(Value::Null))
}

pub(super) fn type_of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, value);
    Ok(Value::Type(value.type_name()))
}

pub(super) fn text_to_bool<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    match &**text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
        other => Err(Fault::new(format!("{other:?} is no bool"))),
    }
}

pub(super) fn text_to_int<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    text.parse().map(Value::Int).map_err(|_| Fault::new(format!("{:?} is no int", &**text)))
}

/// Cuts the fraction off. Like cel-go it leaves out the two limits themselves, which doubles cannot tell from beyond.
pub(super) fn double_to_int<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    arguments!(call, Value::Double(d));
    if *d > -LIMIT && *d < LIMIT {
        #[expect(clippy::cast_possible_truncation)] // checked above
        return Ok(Value::Int(*d as i64));
    }
    Err(Fault::new(format!("{d} does not fit into an int")))
}

pub(super) fn int_to_double<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Int(i));
    #[expect(clippy::cast_precision_loss)] // to the nearest, as in cel-go
    Ok(Value::Double(*i as f64))
}

/// Go also reads hexadecimal doubles; those are refused here.
pub(super) fn text_to_double<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    text.parse()
        .ok()
        .filter(|d: &f64| d.is_finite() || !text.contains(|c: char| c.is_ascii_digit()))
        .map(Value::Double)
        .ok_or_else(|| Fault::new(format!("{:?} is no double", &**text)))
}

pub(super) fn to_text<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    match call.args {
        [Value::Bool(b)] => Ok(Value::text(b.to_string())),
        [Value::Int(i)] => Ok(Value::text(i.to_string())),
        [Value::Double(d)] => Ok(Value::text(double_to_text(*d))),
        _ => Err(Fault::new("no such overload")),
    }
}

/// Go's `'g'` with the fewest digits: an exponent if below -4 or above 5, of at least two digits.
fn double_to_text(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{d:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(e) if !(-4..6).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => d.to_string(),
    }
}

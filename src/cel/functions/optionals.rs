//! Values that may be missing: `.?field`, `[?key]` and what to do with them
//! (<https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries>).

use super::super::limits::Fault;
use super::super::signatures::Call;
use super::super::value::Value;
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

pub(super) fn of<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, value);
    Ok(value.clone().some())
}

pub(super) fn of_non_zero<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, value);
    let zero = match value {
        Value::Null | Value::Bool(false) | Value::Int(0) => true,
        Value::Double(d) => *d == 0.0,
        Value::Text(text) => text.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        _ => false,
    };
    Ok(if zero { Value::Optional(None) } else { value.clone().some() })
}

#[expect(clippy::unnecessary_wraps)] // has the shape of an implementation
pub(super) fn none<'a>(_: &mut Call<'_, 'a>) -> Answer<'a> {
    Ok(Value::Optional(None))
}

pub(super) fn has_value<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Optional(value));
    Ok(Value::Bool(value.is_some()))
}

pub(super) fn value<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Optional(value));
    value
        .as_deref()
        .cloned()
        .ok_or_else(|| Fault::new("value() of an optional that holds none; use orValue(..) or hasValue()"))
}

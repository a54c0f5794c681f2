//! What CEL does with quantities: <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-quantity-library>.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::limits::Fault;
use super::super::quantity::{Quantity, Unreadable};
use super::super::signatures::Call;
use super::super::value::Value;
use super::arguments;

type Answer<'a> = Result<Value<'a>, Fault>;

pub(super) fn is_quantity<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    call.meter.charge_text(text.len())?;
    Ok(Value::Bool(!matches!(Quantity::parse(text), Err(Unreadable::NoQuantity))))
}

pub(super) fn quantity<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Text(text));
    call.meter.charge_text(text.len())?;
    let amount = Quantity::parse(text).map_err(|why| Fault::new(format!("the text {:?} is {why}", &**text)))?;
    Ok(Value::Quantity { amount: Rc::new(amount), computed: false })
}

pub(super) fn sign<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Quantity { amount, .. });
    Ok(Value::Int(amount.signum()))
}

fn order<'a>(call: &Call<'_, 'a>, answer: fn(Ordering) -> Value<'a>) -> Answer<'a> {
    arguments!(call, Value::Quantity { amount: a, .. }, Value::Quantity { amount: b, .. });
    Ok(answer(a.cmp(b)))
}

pub(super) fn is_greater<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    order(call, |order| Value::Bool(order.is_gt()))
}

pub(super) fn is_less<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    order(call, |order| Value::Bool(order.is_lt()))
}

pub(super) fn compare<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    order(call, |order| Value::Int(order as i64))
}

pub(super) fn is_integer<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Quantity { amount, .. });
    Ok(Value::Bool(amount.integer().is_some()))
}

pub(super) fn as_integer<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Quantity { amount, .. });
    amount.integer().map(Value::Int).ok_or_else(|| {
        Fault::new("the quantity was not written as an integer; ask isInteger() first, or use asApproximateFloat()")
    })
}

pub(super) fn as_float<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    arguments!(call, Value::Quantity { amount, .. });
    Ok(Value::Double(amount.approximate()))
}

fn sum<'a>(call: &Call<'_, 'a>, sign: i64) -> Answer<'a> {
    let sum = match call.args {
        [Value::Quantity { amount: a, .. }, Value::Quantity { amount: b, .. }] => a.plus(b, sign),
        [Value::Quantity { amount: a, .. }, Value::Int(b)] => a.plus(&Quantity::from_int(*b), sign),
        _ => return Err(Fault::new("no such overload")),
    };
    let amount = sum.ok_or_else(|| Fault::new("the sum of two quantities is too large to compute with"))?;
    Ok(Value::Quantity { amount: Rc::new(amount), computed: true })
}

pub(super) fn add<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    sum(call, 1)
}

pub(super) fn sub<'a>(call: &mut Call<'_, 'a>) -> Answer<'a> {
    sum(call, -1)
}

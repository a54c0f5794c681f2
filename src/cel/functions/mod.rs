//! The functions and operators of a check, each signature beside its implementation.
//!
//! Standard definitions: <https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions>;
//! what Kubernetes adds: <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries>. Left out,
//! and so refused by name: `timestamp`, `duration`, `bytes`, `uint`, `format`, `url`, `ip`, `cidr`, `semver`,
//! `authorizer`, the sorting of lists, and the search of a string from an offset, which changed between 1.36 and 1.37.

mod conversions;
mod lists;
mod operators;
mod optionals;
pub(crate) mod quantity;
mod strings;

use super::signatures::{Call, Run};
use super::value::Value;

/// What a call whose arguments fit its signature can do without asking: see [`Overload::fits`].
///
/// [`Overload::fits`]: super::signatures::Overload::fits
macro_rules! arguments {
    ($call:expr, $($pattern:pat),+) => {
        let [$($pattern),+] = $call.args else {
            return Err($crate::cel::limits::Fault::new("no such overload"));
        };
    };
}
use arguments;

/// Every function and operator, see [`signatures`](super::signatures).
pub(super) const TABLE: &[(&str, Run)] = &[
    ("_+_(int, int) -> int", operators::add),
    ("_+_(double, double) -> double", operators::add),
    ("_+_(string, string) -> string", operators::concat),
    ("_+_(list(T), list(T)) -> list(T)", operators::append),
    ("_-_(int, int) -> int", operators::subtract),
    ("_-_(double, double) -> double", operators::subtract),
    ("_*_(int, int) -> int", operators::multiply),
    ("_*_(double, double) -> double", operators::multiply),
    ("_/_(int, int) -> int", operators::divide),
    ("_/_(double, double) -> double", operators::divide),
    ("_%_(int, int) -> int", operators::remainder),
    ("_%_(uint, uint) -> uint", never),
    ("-_(int) -> int", operators::negate),
    ("-_(double) -> double", operators::negate),
    ("!_(bool) -> bool", operators::not),
    ("_==_(T, T) -> bool", operators::equal),
    ("_!=_(T, T) -> bool", operators::unequal),
    ("@in(T, list(T)) -> bool", operators::in_list),
    ("@in(T, map(T, U)) -> bool", operators::in_map),
    ("_<_(bool, bool) -> bool", operators::less),
    ("_<_(int, int) -> bool", operators::less),
    ("_<_(int, double) -> bool", operators::less),
    ("_<_(double, int) -> bool", operators::less),
    ("_<_(double, double) -> bool", operators::less),
    ("_<_(string, string) -> bool", operators::less),
    ("_<=_(bool, bool) -> bool", operators::at_most),
    ("_<=_(int, int) -> bool", operators::at_most),
    ("_<=_(int, double) -> bool", operators::at_most),
    ("_<=_(double, int) -> bool", operators::at_most),
    ("_<=_(double, double) -> bool", operators::at_most),
    ("_<=_(string, string) -> bool", operators::at_most),
    ("_>_(bool, bool) -> bool", operators::greater),
    ("_>_(int, int) -> bool", operators::greater),
    ("_>_(int, double) -> bool", operators::greater),
    ("_>_(double, int) -> bool", operators::greater),
    ("_>_(double, double) -> bool", operators::greater),
    ("_>_(string, string) -> bool", operators::greater),
    ("_>=_(bool, bool) -> bool", operators::at_least),
    ("_>=_(int, int) -> bool", operators::at_least),
    ("_>=_(int, double) -> bool", operators::at_least),
    ("_>=_(double, int) -> bool", operators::at_least),
    ("_>=_(double, double) -> bool", operators::at_least),
    ("_>=_(string, string) -> bool", operators::at_least),
    ("size(string) -> int", operators::size),
    ("size(list(T)) -> int", operators::size),
    ("size(map(T, U)) -> int", operators::size),
    ("string.size() -> int", operators::size),
    ("list(T).size() -> int", operators::size),
    ("map(T, U).size() -> int", operators::size),
    ("bool(bool) -> bool", conversions::identity),
    ("bool(string) -> bool", conversions::text_to_bool),
    ("int(int) -> int", conversions::identity),
    ("int(double) -> int", conversions::double_to_int),
    ("int(string) -> int", conversions::text_to_int),
    ("double(double) -> double", conversions::identity),
    ("double(int) -> double", conversions::int_to_double),
    ("double(string) -> double", conversions::text_to_double),
    ("string(string) -> string", conversions::identity),
    ("string(bool) -> string", conversions::to_text),
    ("string(int) -> string", conversions::to_text),
    ("string(double) -> string", conversions::to_text),
    ("dyn(T) -> dyn", conversions::identity),
    ("type(T) -> type", conversions::type_of),
    ("string.contains(string) -> bool", strings::contains),
    ("string.startsWith(string) -> bool", strings::starts_with),
    ("string.endsWith(string) -> bool", strings::ends_with),
    ("string.charAt(int) -> string", strings::char_at),
    ("string.indexOf(string) -> int", strings::index_of),
    ("string.lastIndexOf(string) -> int", strings::last_index_of),
    ("string.lowerAscii() -> string", strings::lower),
    ("string.upperAscii() -> string", strings::upper),
    ("string.replace(string, string) -> string", strings::replace),
    ("string.replace(string, string, int) -> string", strings::replace),
    ("string.split(string) -> list(string)", strings::split),
    ("string.split(string, int) -> list(string)", strings::split),
    ("string.substring(int) -> string", strings::substring),
    ("string.substring(int, int) -> string", strings::substring),
    ("string.trim() -> string", strings::trim),
    ("list(string).join() -> string", strings::join),
    ("list(string).join(string) -> string", strings::join),
    ("matches(string, string) -> bool", strings::matches),
    ("string.matches(string) -> bool", strings::matches),
    ("string.find(string) -> string", strings::find),
    ("string.findAll(string) -> list(string)", strings::find_all),
    ("string.findAll(string, int) -> list(string)", strings::find_all),
    // the first signature that fits at run time is taken: an empty list of unknown elements is summed as ints
    ("list(int).sum() -> int", lists::sum_ints),
    ("list(double).sum() -> double", lists::sum_doubles),
    ("list(int).min() -> int", lists::min),
    ("list(double).min() -> double", lists::min),
    ("list(bool).min() -> bool", lists::min),
    ("list(string).min() -> string", lists::min),
    ("list(int).max() -> int", lists::max),
    ("list(double).max() -> double", lists::max),
    ("list(bool).max() -> bool", lists::max),
    ("list(string).max() -> string", lists::max),
    ("list(int).isSorted() -> bool", lists::is_sorted),
    ("list(double).isSorted() -> bool", lists::is_sorted),
    ("list(bool).isSorted() -> bool", lists::is_sorted),
    ("list(string).isSorted() -> bool", lists::is_sorted),
    ("list(T).indexOf(T) -> int", lists::index_of),
    ("list(T).lastIndexOf(T) -> int", lists::last_index_of),
    ("sets.contains(list(T), list(T)) -> bool", lists::set_contains),
    ("sets.equivalent(list(T), list(T)) -> bool", lists::set_equivalent),
    ("sets.intersects(list(T), list(T)) -> bool", lists::set_intersects),
    ("isQuantity(string) -> bool", quantity::is_quantity),
    ("quantity(string) -> quantity", quantity::quantity),
    ("sign(quantity) -> int", quantity::sign),
    ("quantity.isGreaterThan(quantity) -> bool", quantity::is_greater),
    ("quantity.isLessThan(quantity) -> bool", quantity::is_less),
    ("quantity.compareTo(quantity) -> int", quantity::compare),
    ("quantity.isInteger() -> bool", quantity::is_integer),
    ("quantity.asInteger() -> int", quantity::as_integer),
    ("quantity.asApproximateFloat() -> double", quantity::as_float),
    ("quantity.add(quantity) -> quantity", quantity::add),
    ("quantity.add(int) -> quantity", quantity::add),
    ("quantity.sub(quantity) -> quantity", quantity::sub),
    ("quantity.sub(int) -> quantity", quantity::sub),
    ("optional.of(T) -> optional(T)", optionals::of),
    ("optional.ofNonZeroValue(T) -> optional(T)", optionals::of_non_zero),
    ("optional.none() -> optional(T)", optionals::none),
    ("optional(T).hasValue() -> bool", optionals::has_value),
    ("optional(T).value() -> T", optionals::value),
    // their argument is evaluated only when needed, see `Node::OrElse`
    ("optional(T).or(optional(T)) -> optional(T)", never),
    ("optional(T).orValue(T) -> T", never),
];

/// For signatures that are there for their types only.
fn never<'a>(_: &mut Call<'_, 'a>) -> Result<Value<'a>, super::limits::Fault> {
    Err(super::limits::Fault::new("no such overload"))
}

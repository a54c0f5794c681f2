//! The whole module: agreement with an API server, and error texts. Hostile input is in `hostile`.

use serde_json::{Value as Json, json};

use super::{Check, CheckError, Subject};

pub(super) fn evaluate(expression: &str, object: &Json, namespace: &Json) -> Result<bool, CheckError> {
    let template = object.pointer("/spec/template").unwrap_or(&Json::Null);
    Check::compile(expression)?.evaluate(&Subject { object, namespace_object: namespace, template })
}

pub(super) fn refusal(expression: &str) -> String {
    Check::compile(expression).unwrap_err().to_string()
}

#[test]
fn every_case_has_the_answer_of_an_api_server() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("testdata/cases.json")).unwrap();
    assert!(cases.len() >= 100, "{}", cases.len());
    for case in &cases {
        let expression = case["expression"].as_str().unwrap();
        let answer = evaluate(expression, &case["object"], &case["namespaceObject"]);
        match &case["expect"] {
            Json::Bool(expected) => assert_eq!(answer.as_ref(), Ok(expected), "{}", case["name"]),
            _ => assert!(answer.is_err(), "{}: {answer:?}", case["name"]),
        }
    }
}

#[test]
fn a_check_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>(_: &T) {}
    let check = Check::compile("object.a == 1").unwrap();
    shared(&check);
    assert_eq!(check.source(), "object.a == 1");
}

#[test]
fn a_large_unsigned_integer_is_a_double() {
    let object = json!({"big": u64::MAX, "small": u64::try_from(i64::MAX).unwrap()});
    assert_eq!(evaluate("type(object.big) == double && object.big > 1.8e19", &object, &Json::Null), Ok(true));
    assert_eq!(evaluate("type(object.small) == int", &object, &Json::Null), Ok(true));
}

#[test]
fn an_error_of_evaluation_names_the_field_and_the_guard() {
    let object = json!({"spec": {"containers": [{"name": "a"}], "labels": {"a": 1, "b": 2}}});
    for (expression, part) in [
        (
            "object.spec.containers.all(c, c.resources.limits.memory != '')",
            "c has no field `resources`; ask has(c.resources) first, or read c.?resources",
        ),
        ("object.spec.labels['c'] == 1", "object.spec.labels has no key 'c'; look it up with [?..]"),
        ("object.spec.labels.map(k, k)[0] == 'a'", "the keys of a map have no order"),
        ("object.spec.containers.all(c, c.name > 1)", "`>` cannot be applied to string and int"),
        ("object.spec.labels.all(k, k)", "k is a string, not a bool"),
    ] {
        let text = evaluate(expression, &object, &Json::Null).unwrap_err().to_string();
        assert!(text.contains(part), "{text:?} should contain {part:?}");
    }
}

#[test]
fn an_error_of_compilation_names_the_part_and_the_place() {
    for (expression, part) in [
        ("object.spec.paused", "object.spec.paused, whose type is only known at run time; write `.. == true`"),
        ("object.a.startWith('a')", "`startWith()`, which a check does not know; did you mean startsWith?"),
        ("object.a.isQuantity()", "`isQuantity()`, which a check does not know; call it as isQuantity(..)"),
        ("workload.a == 1", "it knows object, namespaceObject and variables.template"),
        ("variables.pod.a == 1", "`variables.pod`"),
        (
            "namespaceObject.metadata.uid == 'a'",
            "`namespaceObject.metadata.uid`, which a check does not know; a check can",
        ),
        ("1 == 'a'", "`==` cannot be applied to int and string (line 1, column 3)"),
        ("true &&\n object.a && 'b'", "a bool is needed here, not a string (line 2, column 14)"),
        ("object.a.matches('(')", "the pattern \"(\" cannot be used"),
        ("object.a == 'b", "this string is never closed (line 1, column 13)"),
        ("(object.a == 1", "`(` is never closed (line 1, column 1)"),
        ("object.a == 1]", "`]` closes nothing (line 1, column 14)"),
        ("object.a = 1", "(line 1, column 10)"),
        ("object.a ==", "(line 1, column 12)"),
        ("", "(line 1, column 1)"),
    ] {
        let text = refusal(expression);
        assert!(text.contains(part), "{text:?} should contain {part:?}");
    }
}

#[test]
fn error_texts_fit_into_a_status() {
    let object = json!({"a": "x".repeat(100_000)});
    assert!(evaluate("int(object.a) == 1", &object, &Json::Null).unwrap_err().to_string().len() < 500);
    assert!(refusal(&format!("{} == 1", "x".repeat(4000))).len() < 500);
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    for call in [
        "duration('1h') == null",
        "object.a.format([]) == ''",
        "url('a') == null",
        "ip('1.1.1.1') == null",
        "[1].sort() == []",
        "cel.bind(x, 1, x == 1)",
        "b('a') == null",
        "now() == null",
        "object.a.reverse() == ''",
        "authorizer.path('/') == null",
        "request.name == 'a'",
        "oldObject.a == 1",
        "params.a == 1",
        "x == 1",
    ] {
        assert!(matches!(Check::compile(call), Err(CheckError::UnknownReference { .. })), "{call}");
    }
}

//! Hostile input: what must be refused, quickly, on a small stack and without a panic.

use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::limits::{MAX_BRACKETS, MAX_COST, MAX_DEPTH, MAX_LENGTH, MAX_LOOPS};
use super::tests::{evaluate, refusal};
use super::{Check, CheckError, Subject};

/// How long a bomb may take: 0.1 s on an idle machine, but tests share theirs.
const QUICK: Duration = Duration::from_secs(30);

/// A list of 100, a string of 1,000 and a map of 100.
fn large() -> Json {
    let list: Vec<u32> = (0..100).collect();
    let map: serde_json::Map<String, Json> = list.iter().map(|i| (format!("key-{i}"), json!("value"))).collect();
    json!({"spec": {"list": list, "text": "a".repeat(1000), "map": map}})
}

#[test]
fn a_source_over_the_length_is_refused() {
    let fits = format!("'{}' == ''", "é".repeat(MAX_LENGTH - 8));
    assert!(Check::compile(&fits).is_ok());
    let length = MAX_LENGTH + 1;
    assert_eq!(Check::compile(&format!("{fits} ")).unwrap_err(), CheckError::TooLong { length, max: MAX_LENGTH });
}

#[test]
fn nesting_over_a_limit_is_refused() {
    let brackets = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
    assert!(Check::compile(&brackets(MAX_BRACKETS)).is_ok());
    let chain = |n: usize| format!("{}0 == 0", "1 + ".repeat(n));
    assert!(Check::compile(&chain(MAX_DEPTH - 2)).is_ok());
    let loops = |n: usize| format!("{}true{}", "[1].all(x, ".repeat(n), ")".repeat(n));
    assert!(Check::compile(&loops(MAX_LOOPS)).is_ok());
    for (source, what) in [
        (brackets(MAX_BRACKETS + 1), "brackets"),
        (chain(MAX_DEPTH), "operators and calls"),
        (loops(MAX_LOOPS + 1), "loops"),
        (format!("{}true", "!".repeat(9)), "unary operators"),
        (format!("{}true", "true ? true : ".repeat(65)), "conditionals"),
    ] {
        assert!(refusal(&source).contains(&format!("{what} are nested")), "{source}");
    }
}

/// <https://github.com/cel-rust/cel-rust/issues/306> (gigabytes for 125 bytes) and
/// <https://github.com/cel-rust/cel-rust/issues/305> (a panic), and what looks like them but passes the first checks.
#[test]
fn bombs_for_the_parser_are_refused_quickly() {
    let motif = "!!(!!!!!!(!!!!(((((!!(!!(!!!!((";
    let mut bombs: Vec<String> = (1..=30).map(|n| motif.repeat(n) + "1").collect();
    bombs.push(format!(">{}?[{}{}l\u{0}?(-", "{".repeat(63), "(".repeat(11), "{".repeat(26)));
    bombs.push("!!(".repeat(1000));
    bombs.push(format!("{}1{}", "!!(".repeat(64), ")".repeat(64)));
    bombs.push(format!("{}1{}", "[{1:".repeat(32), "}]".repeat(32)));
    bombs.push(format!("{}{}", "[".repeat(64), "]".repeat(64)));
    bombs.push("1 + ".repeat(1023) + "1");
    bombs.push(format!("a{}", ".b".repeat(2047)));
    bombs.push(format!("a{}", "[0]".repeat(1364)));
    bombs.push(format!("object.a{}", ".optMap(x,x)".repeat(300)));
    bombs.push(format!("object.?a{}", ".optMap(x,x)".repeat(300)));
    bombs.push("a && ".repeat(800) + "a");
    bombs.push("-1 ".repeat(1300));
    bombs.push("'a'".repeat(1300));
    bombs.push("a b ".repeat(1000));
    let start = Instant::now();
    for bomb in &bombs {
        assert!(Check::compile(bomb).is_err(), "{bomb}");
    }
    assert!(start.elapsed() < QUICK, "{:?} for {}", start.elapsed(), bombs.len());
}

#[test]
fn bombs_for_the_evaluation_run_out_of_steps() {
    let object = large();
    let bombs = [
        format!("['aaaa']{}[0] == 'a'", ".map(x, x + x)".repeat(40)),
        format!("[[1, 2]]{}[0] == [1]", ".map(x, x + x)".repeat(40)),
        format!("[[1]]{0} == [[1]]{0}", ".map(x, [x, x])".repeat(40)),
        format!("'aaaa'{} == 'a'", ".replace('a', 'aaaaaaaaaa')".repeat(12)),
        "object.spec.list.all(a, object.spec.list.all(b, object.spec.list.all(c, a + b + c >= 0)))".into(),
        "object.spec.list.all(a, object.spec.text.matches('(a{30}){30}b') == false)".into(),
        "object.spec.list.all(a, object.spec.list.map(b, object.spec.text).join().size() > 0)".into(),
        "object.spec.list.map(a, object.spec.list).all(a, object.spec.list.all(b, object.spec.map == object.spec.map))"
            .into(),
        "object.spec.list.all(a, object.spec.list.all(b, sets.equivalent(object.spec.list, object.spec.list)))".into(),
        "object.spec.list.all(a, 1 / 0 == 1 || object.spec.list.all(b, object.spec.text == object.spec.text)) || true"
            .into(),
        "object.spec.list.all(a, object.spec.list.all(b, object.spec.text.split('').size() > 0))".into(),
    ];
    for bomb in &bombs {
        let start = Instant::now();
        assert_eq!(evaluate(bomb, &object, &Json::Null), Err(CheckError::TooCostly { max: MAX_COST }), "{bomb}");
        assert!(start.elapsed() < QUICK, "{bomb}: {:?}", start.elapsed());
    }
}

#[test]
fn copies_of_the_object_are_cheap() {
    let object = large();
    let start = Instant::now();
    let copies = "object.spec.list.map(x, object.spec.list.map(y, object)).size() == 100";
    assert_eq!(evaluate(copies, &object, &Json::Null), Ok(true));
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
}

/// The deepest expressions that compile, of every shape that recurses, on the stack of a tokio worker.
#[test]
fn the_deepest_expressions_fit_on_two_mebibytes_of_stack() {
    let half = MAX_DEPTH / 2 - 4;
    let nest = |open: &str, inner: &str, close: &str, n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n));
    let sources = [
        format!("{} == {}", nest("[", "1", "]", 60), nest("[", "1", "]", 60)),
        format!("{} == 1", nest("size([", "1", "])", 30)),
        nest("true ? (", "true", ") : false", 60),
        nest("object.a == 1 || (false || ", "true", ")", 40),
        format!("{}0 == {half}", "1 + ".repeat(half)),
        format!("object.b{}.hasValue()", ".?b".repeat(half)),
        format!("{}1{} == {0}1{1}", "{'a': ".repeat(60), "}".repeat(60)),
        format!("['a']{}[0] == 'a'", ".map(x, string(string(string(string(x)))))".repeat(80)),
        format!("dyn([1]{}) != dyn([1])", ".map(x, [[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]])".repeat(60)),
        format!("[1]{0} == [1]{0}", ".map(x, [[[[[[x]]]]]])".repeat(40)),
        nest("object.?a.orValue(", "true", ")", 60) + " == true",
        nest("[1].all(x, ", &nest("(true && (false || ", "true", "))", 25), ")", MAX_LOOPS),
    ];
    let object = json!({"a": true, "b": {}});
    for source in sources {
        let check = Check::compile(&source).unwrap();
        let object = object.clone();
        let run = move || {
            let null = Json::Null;
            let _ = check.evaluate(&Subject { object: &object, namespace_object: &null, template: &null });
        };
        thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
    }
}

#[test]
fn a_deep_object_is_compared_within_bounds() {
    let object = (0..120).fold(json!(1), |inner, _| json!({"a": [inner]}));
    assert_eq!(evaluate("object == object", &object, &Json::Null), Err(CheckError::TooCostly { max: MAX_COST }));
    let object = (0..60).fold(json!(1), |inner, _| json!({"a": [inner]}));
    assert_eq!(evaluate("object == object", &object, &Json::Null), Ok(true));
}

#[test]
fn a_null_subject_is_an_error_not_a_panic() {
    assert!(matches!(evaluate("object.a == 1", &Json::Null, &Json::Null), Err(CheckError::Failed { .. })));
    assert!(matches!(
        evaluate("namespaceObject.metadata.name == 'a'", &Json::Null, &Json::Null),
        Err(CheckError::Failed { .. })
    ));
    assert_eq!(evaluate("variables.template == null && object == null", &Json::Null, &Json::Null), Ok(true));
}

const TOKENS: &[&str] = &[
    "object",
    "object.spec.list",
    ".",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "<",
    " in ",
    "&&",
    "||",
    ",",
    "'s'",
    "\"",
    "'",
    "1",
    "1.5",
    "0x",
    "1u",
    "b'a'",
    r"r'\d'",
    "true",
    "null",
    "has(",
    ".all(x, ",
    ".map(x, ",
    ".?",
    "[?",
    "//",
    "\n",
    "\0",
    "é",
    "`",
    "'''",
    "\\",
    "@",
    "=",
    "&",
    "1e",
    "9223372036854775808",
    "size(",
    ".matches('",
    ".optMap(x, ",
    "quantity('1Gi')",
    ".orValue(",
    "optional.none()",
    "for",
    "x",
];

const LEAVES: &[&str] = &[
    "object",
    "object.spec",
    "object.spec.list",
    "object.spec.text",
    "object.spec.map",
    "variables.template",
    "1",
    "-1",
    "0",
    "2.5",
    "'a'",
    "''",
    "true",
    "null",
    "[]",
    "{}",
    "x",
    "[1, 2]",
    "{'a': 1}",
    "quantity('1Gi')",
    "optional.none()",
    "object.?spec.?list",
    "9223372036854775807",
    "int",
    "namespaceObject",
];
const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"];
const METHODS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "indexOf",
    "charAt",
    "substring",
    "replace",
    "split",
    "join",
    "sum",
    "max",
    "isSorted",
    "orValue",
    "value",
    "add",
    "compareTo",
    "asInteger",
    "lowerAscii",
    "trim",
    "hasValue",
];
const LOOPS: &[&str] = &["all", "exists", "exists_one", "map", "filter", "optMap"];

/// Well-formed expressions, mostly ill-typed.
fn expressions() -> impl Strategy<Value = String> {
    let of = prop::sample::select;
    of(LEAVES).prop_map(str::to_owned).prop_recursive(6, 48, 3, move |inner| {
        let args = prop::collection::vec(inner.clone(), 0..3);
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), of(OPERATORS)).prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            (inner.clone(), of(METHODS), args).prop_map(|(a, name, args)| format!("{a}.{name}({})", args.join(", "))),
            (two.clone(), of(LOOPS)).prop_map(|((a, b), name)| format!("{a}.{name}(x, {b})")),
            (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("({a} ? {b} : {c})")),
            two.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
            two.prop_map(|(a, b)| format!("dyn({a}) == dyn({b})")),
            inner.clone().prop_map(|a| format!("string({a})")),
            inner.prop_map(|a| format!("!{a}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_source_makes_the_compiler_panic_or_hang(
        tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..400),
    ) {
        let start = Instant::now();
        let compiled = Check::compile(&tokens.concat());
        prop_assert!(start.elapsed() < QUICK);
        let panicked = matches!(&compiled, Err(CheckError::DoesNotCompile { message }) if message.contains("the parser failed"));
        prop_assert!(!panicked);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(source in ".{0,200}") {
        let compiled = Check::compile(&source);
        let panicked = matches!(&compiled, Err(CheckError::DoesNotCompile { message }) if message.contains("the parser failed"));
        prop_assert!(!panicked);
    }

    #[test]
    fn no_expression_makes_an_evaluation_panic_or_hang(a in expressions(), b in expressions()) {
        let object = large();
        let start = Instant::now();
        for source in [format!("{a} == {b}"), format!("dyn({a}) == dyn({b})"), a] {
            let first = evaluate(&source, &object, &Json::Null);
            prop_assert_eq!(first, evaluate(&source, &object, &Json::Null));
        }
        prop_assert!(start.elapsed() < QUICK);
    }
}

//! The same language as `serde_json`'s, but for structs written as arrays.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::from_str;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    pairs: Vec<(u64, i8)>,
    #[serde(default)]
    inner: BTreeMap<String, Record>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Plain,
    Named(String),
    Pair(u8, bool),
    Sized {
        bytes: u64,
    },
}

/// Both readers agree: on the value, or on what is wrong with it.
fn agree<T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(text: &str) {
    match (from_str::<T>(text), serde_json::from_str::<T>(text)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{text}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{text}: {ours:?}, and serde_json: {theirs:?}"),
    }
}

#[test]
fn records_enums_and_numbers_are_read_as_serde_json_reads_them() {
    for text in [
        r#"{"name":"a"}"#,
        r#" { "name" : "\u00e9\ud83d\ude00\n\"" , "count" : 7 , "tags":["x","y"] } "#,
        r#"{"name":"a","count":null,"kind":"plain"}"#,
        r#"{"name":"a","kind":{"plain":null}}"#,
        r#"{"name":"a","kind":{"plain":1}}"#,
        r#"{"name":"a","kind":{"named":"b"}}"#,
        r#"{"name":"a","kind":{"pair":[1,true]}}"#,
        r#"{"name":"a","kind":{"pair":[1,true,2]}}"#,
        r#"{"name":"a","kind":{"sized":{"bytes":18446744073709551615}}}"#,
        r#"{"name":"a","kind":{"sized":{"bytes":1,"unknown":[{"a":[]},{}]}}}"#,
        r#"{"name":"a","kind":{"named":"b","plain":null}}"#,
        r#"{"name":"a","kind":"named"}"#,
        r#"{"name":"a","kind":"other"}"#,
        r#"{"name":"a","kind":{}}"#,
        r#"{"name":"a","kind":7}"#,
        r#"{"name":"a","pairs":[[1,-128],[2,127]]}"#,
        r#"{"name":"a","pairs":[[1,-129]]}"#,
        r#"{"name":"a","pairs":[[1]]}"#,
        r#"{"name":"a","inner":{"b":{"name":"c"},"d":{"name":"e"}}}"#,
        r#"{"name":"a","name":"b"}"#,
        r#"{"inner":{},"pairs":[],"kind":"plain","tags":[],"count":1,"name":"a"}"#,
        r#"{"count":1,"inner":{},"name":"a","kind":"plain"}"#,
        r#"{"count":1,"\u006eame":"a"}"#,
        r#"{"name":"a","count":01}"#,
        r#"{"name":"a","count":1-}"#,
        r#"{"name":"a","pairs":[[9999999999999999999,1],[10000000000000000000,1]]}"#,
        r#"{"name":"a","pairs":[[99999999999999999999,1]]}"#,
        r#"{"name":"a","count":4294967296}"#,
        r#"{"name":"a","count":-1}"#,
        r#"{"name":"a","count":1.5}"#,
        r#"{"name":"a","count":"1"}"#,
        r#"{"name":"a","unknown":1}"#,
        r#"{"name":"a",}"#,
        r#"{"name":"a"}{}"#,
        r#"{"count":1}"#,
        r#"{"name""a"}"#,
        r#"{1:2}"#,
        "[]",
        "null",
        "",
    ] {
        agree::<Record>(text);
    }
}

#[test]
fn values_are_read_as_serde_json_reads_them() {
    for text in [
        "0",
        "-0",
        "1",
        "-1",
        "01",
        "-01",
        "1.",
        ".5",
        "1.5",
        "-1.5e3",
        "1e400",
        "1e-400",
        "1E+2",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        "-9223372036854775809",
        "+1",
        "1-2",
        "--1",
        "-",
        "1e",
        "tru",
        "true",
        "truefalse",
        "nul",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud83d\u0041""#,
        r#""\u12""#,
        r#""\x""#,
        r#""\"#,
        "\"a\nb\"",
        "\"\u{7f}\"",
        r#"["#,
        r#"[1"#,
        r#"[1 2]"#,
        r#"[1,]"#,
        r#"[,]"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{,}"#,
        r#"{"a":1,"a":2}"#,
        "\u{feff}1",
        "]",
    ] {
        agree::<Value>(text);
    }
    for depth in [126, 127, 128, 129, 100_000] {
        agree::<Value>(&("[".repeat(depth) + &"]".repeat(depth)));
        // Unwanted values are bounded as well: skipping them takes stack, too.
        let unwanted = format!(r#"{{"other":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(from_str::<Kindless>(&unwanted).is_ok(), depth < 127, "{depth}");
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Kindless {}

#[test]
fn an_error_says_what_and_where() {
    for (text, says) in [
        ("{\"name\":\n 7}", "invalid type: integer `7`, expected a string at line 2 column 2"),
        ("{\"nome\":7}", "unknown field `nome`, expected one of"),
        ("{}", "missing field `name` at line 1 column "),
        ("{\"name\":\"a\"} x", "trailing characters at line 1 column 13"),
    ] {
        let error = from_str::<Record>(text).expect_err(text).to_string();
        assert!(error.starts_with(says), "{text}: {error}");
        let theirs = serde_json::from_str::<Record>(text).expect_err(text).to_string();
        assert_eq!(error.split(" at line").next(), theirs.split(" at line").next());
    }
}

#[test]
fn a_struct_is_an_object_and_never_an_array() {
    assert!(from_str::<Record>(r#"["a"]"#).is_err());
}

#[test]
fn plain_text_is_borrowed() {
    assert_eq!(from_str::<&str>(r#""a""#).expect("plain"), "a");
    assert!(from_str::<&str>(r#""\n""#).is_err(), "escapes need a buffer, as in serde_json");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_and_any_damage_to_it_reads_alike(
        value in value(), pretty: bool, at: prop::sample::Index, with in "[\\[\\]{}\",:\\\\0-9a-z \n-]?",
    ) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        agree::<Value>(&text);
        let mut cut = at.index(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let after = text[cut..].chars().next().map_or(0, char::len_utf8);
        agree::<Value>(&format!("{}{with}{}", &text[..cut], &text[cut + after..]));
        agree::<Value>(&text[..cut]);
    }
}

#[test]
fn errors_tell_the_path_to_what_is_wrong() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Item {
        n: u64,
        list: Option<Vec<u64>>,
        inner: Option<std::collections::BTreeMap<String, Item>>,
    }
    for (text, path) in [
        (r#"{"n":"x"}"#, "n"),
        (r#"{"n":1,"list":[1,2,"x"]}"#, "list [2]"),
        (r#"{"n":1,"inner":{"a\"b":{"n":1},"c":{"n":-1}}}"#, "inner c n"),
        (r#"{"n":1,"inner":{"a":{"n":1,"m":2}}}"#, "inner a"),
        (r#"{"n":1,"inner":{"a":{"list":[1]}}}"#, "inner a"),
        (r#"{"n":1,"inner":{"a":{}}}"#, "inner"),
        ("[]", ""),
    ] {
        let error = crate::from_str::<Item>(text).unwrap_err();
        assert_eq!(error.path().join(" "), path, "{text}: {error}");
    }
}

#[test]
fn a_field_that_no_type_has_is_named_where_it_is_refused_and_else_passed_over() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Open {
        first: u8,
        last: u8,
    }
    let text = r#"{"other":[1,{"first":2}],"last":3,"more":"x","first":4}"#;
    assert_eq!(from_str::<Open>(text).ok(), Some(Open { first: 4, last: 3 }));
    let refused = from_str::<Record>(r#"{"name":"a","nmae":"b"}"#).expect_err("it is denied");
    let text = refused.to_string();
    assert!(text.contains("unknown field `nmae`, expected one of `name`, `count`"), "{text}");
}

#[test]
fn what_ends_a_run_of_plain_text_is_found_wherever_it_stands() {
    for before in 0..20 {
        for end in ["\"", "\\n\"", "\u{1f}\"", "\t\""] {
            for behind in 0..10 {
                let (before, behind) = ("é!~".repeat(before), "x".repeat(behind));
                let text = format!("\"{before}{end}{behind}");
                agree::<String>(&text);
                agree::<String>(&format!("{text}\""));
            }
        }
    }
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn verdict(text: &[u8]) -> Verdict {
    let mut beginning = Beginning::new();
    beginning.read(text, &Lists::of_stream(&[]));
    beginning.verdict()
}

#[test]
fn what_is_known_of_a_beginning() {
    for (text, expected) in [
        ("", Verdict::Open),
        (" \r\n\t", Verdict::Open),
        ("{", Verdict::Open),
        ("x", Verdict::Other),
        ("\"", Verdict::Other),
        ("1", Verdict::Other),
        (",", Verdict::Other),
        (r#"{"result":{"tools"#, Verdict::Open),
        (r#"{"result":{"tools""#, Verdict::List),
        (
            r#"{"id":{"a":[1,{}]},"result":{"x":[{}],"prompts""#,
            Verdict::List,
        ),
        (r#"{"r\u0065sult":{"\u0074ools""#, Verdict::List),
        (r#"{"result" : { "resources" "#, Verdict::List),
        (
            r#"{"result":{"tool":1,"x":"tools","tools2":1"#,
            Verdict::Open,
        ),
        (r#"{"result":[{"tools":[]}]"#, Verdict::Open),
        (r#"{"result":{"x":{"tools":[]}}"#, Verdict::Open),
        (r#"{"result":{"x":[{"tools":[]}]}"#, Verdict::Open),
        (r#"{"x":{"result":{"tools":[]}}"#, Verdict::Open),
        (r#"{"result":1,"x":{"tools":[]}"#, Verdict::Open),
        (r#"{"result":{},"tools":[]"#, Verdict::Open),
        (r#"{"result":{"x":"\",\"tools\":[]"}"#, Verdict::Open),
        (r#"{"result":{}}"#, Verdict::Other),
        (r#"{"result":{}} {"result":{"tools":[]}}"#, Verdict::Other),
        (r#"{"method":"x","result":{"tools":[]}}"#, Verdict::Other),
        (
            r#"{"params":{"method":1},"result":{"method":1,"tools":[]}}"#,
            Verdict::List,
        ),
        (r#"[{"method":"x"},{"result":{"tools""#, Verdict::List),
        (r#"[{"method":"x","result":{"tools":[]}}"#, Verdict::Open),
        (r#"[[{"result":{"tools":[]}}]"#, Verdict::Open),
        (r#"[{"result":{}}]"#, Verdict::Other),
        (r#"["result",{"tools":[]}"#, Verdict::Open),
        ("]]]", Verdict::Other),
        ("{]]]", Verdict::Other),
    ] {
        assert_eq!(verdict(text.as_bytes()), expected, "{text}");
    }
}

fn any_message() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "result", "tools", "prompts", "method", "id", "params", "x", "tools\"", "r\\esult",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!(-1.5)),
        prop::sample::select(vec!["tools", "\"result\":{\"tools\":[", "\\", "{[,]}"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| {
                let members = members.into_iter();
                Value::Object(members.map(|(n, v)| (n.to_owned(), v)).collect())
            }),
        ]
    })
}

fn is_list_answer(message: &Value) -> bool {
    let result = message.get("result").and_then(Value::as_object);
    message.get("method").is_none()
        && result.is_some_and(|result| {
            ["tools", "prompts", "resources"]
                .iter()
                .any(|list| result.contains_key(*list))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Of sound JSON it tells the same as a reader of the whole (members stand in the order of
    /// their names here, so `method` before `result`).
    #[test]
    fn it_agrees_with_a_reader_of_the_whole(message in any_message(), pretty in any::<bool>()) {
        let text = if pretty {
            serde_json::to_string_pretty(&message).unwrap()
        } else {
            message.to_string()
        };
        let expected = match &message {
            Value::Array(messages) => messages.iter().any(is_list_answer),
            message => is_list_answer(message),
        };
        let expected = if expected { Verdict::List } else { Verdict::Other };
        prop_assert_eq!(verdict(text.as_bytes()), expected, "{}", text);
    }

    /// What is known stays known, whatever comes, and in whatever pieces.
    #[test]
    fn what_is_known_stays_known(
        text in r#"(["\[\]{},:\\ x]|"result":\{|"tools"|"method"){0,24}"#,
        at in any::<prop::sample::Index>(),
    ) {
        let text = text.as_bytes();
        let (head, tail) = text.split_at(at.index(text.len().saturating_add(1)));
        let lists = Lists::of_stream(&[]);
        let mut beginning = Beginning::new();
        beginning.read(head, &lists);
        let first = beginning.verdict();
        beginning.read(tail, &lists);
        prop_assert_eq!(beginning.verdict(), verdict(text));
        if first != Verdict::Open {
            prop_assert_eq!(beginning.verdict(), first);
        }
    }
}

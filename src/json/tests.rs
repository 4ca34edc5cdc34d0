use super::*;

#[test]
fn values_are_what_serde_json_reads() {
    for text in [
        "null",
        " true ",
        "-1",
        "18446744073709551615",
        "1.5",
        "[]",
        r#"{"a":[{"b":"\u00e9"}],"c":null}"#,
    ] {
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap(),
            "{text}"
        );
    }
}

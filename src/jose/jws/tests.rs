use serde_json::json;

use super::*;
use crate::json::Json;
use crate::testing::encode;

const HEADER: &str = r#"{"alg":"ES256"}"#;

fn compact(header: &str, payload: &str, signature: &[u8]) -> String {
    format!(
        "{}.{}.{}",
        encode(header.as_bytes()),
        encode(payload.as_bytes()),
        encode(signature)
    )
}

fn parse(token: &str) -> Result<Jws<'_>, Reason> {
    Jws::parse(token.as_bytes())
}

#[test]
fn the_parts() {
    let token = compact(
        r#"{"alg":"ES256","kid":"","typ":"at+jwt"}"#,
        r#"{"a":1}"#,
        b"signature",
    );
    let jws = parse(&token).unwrap();
    assert_eq!(jws.header.algorithm, Algorithm::Es256);
    assert_eq!(jws.header.kid(), Some(""));
    assert_eq!(jws.header.typ(), Some("at+jwt"));
    let a = jws.payload.get("a").and_then(Json::value);
    assert_eq!(a, Some(json!(1)));
    assert_eq!(jws.signature, b"signature");
    assert_eq!(
        *jws.signing_input,
        *token.rsplit_once('.').unwrap().0.as_bytes()
    );
    let token = compact(HEADER, "{}", b"");
    let jws = parse(&token).unwrap();
    assert_eq!(
        (jws.header.kid(), jws.header.typ(), jws.signature),
        (None, None, vec![])
    );
    for payload in ["null", "[]", "\"{}\"", "1", ""] {
        assert_eq!(
            parse(&compact(HEADER, payload, b"")).err(),
            Some(Reason::TokenMalformed)
        );
    }
}

#[test]
fn only_the_compact_serialisation() {
    let (header, payload) = (encode(HEADER.as_bytes()), encode(b"{}"));
    assert!(parse(&format!("{header}.{payload}.AAAA")).is_ok());
    let json_serialisation =
        json!({"protected": header, "payload": payload, "signature": "AAAA"}).to_string();
    let general =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": "AAAA"}]})
            .to_string();
    for token in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b.c",
        "\0.\0.\0",
        "é.é.é",
        &header,
        &format!("{header}.{payload}"),
        &format!("{header}..AAAA"),
        &format!(".{payload}.AAAA"),
        &format!("{header}.{payload}.AAAA."),
        &format!(".{header}.{payload}.AAAA"),
        &format!("{header}.{payload}.AAAA.AAAA"),
        // As many parts as a JWE has.
        &format!("{header}.{payload}.AAAA.AAAA.AAAA"),
        &json_serialisation,
        &general,
        // White space, padding, the other alphabet, and bits behind the last byte.
        &format!(" {header}.{payload}.AAAA"),
        &format!("{header}.{payload}.AAAA "),
        &format!("{header}.{payload}.AA\nAA"),
        &format!("{header}.{payload}.AA\r\nAA"),
        &format!("{header} .{payload}.AAAA"),
        &format!("{header}.{payload}=.AAAA"),
        &format!("{header}.{payload}.AA=="),
        &format!("{header}.{payload}.AAA="),
        &format!("{header}.{payload}.A"),
        &format!("{header}.{payload}.AAAAA"),
        &format!("{header}.{payload}.AA+A"),
        &format!("{header}.{payload}.AA/A"),
        &format!("{header}.{payload}.AB"),
        &format!("{header}.{payload}.AAB"),
        &format!("{header}.{payload}.AA%41"),
        &format!("{header}.e31.AAAA"),
    ] {
        assert_eq!(parse(token).err(), Some(Reason::TokenMalformed), "{token}");
    }
}

#[test]
fn headers() {
    let long = "k".repeat(MAX_KID_BYTES);
    assert!(
        parse(&compact(
            &json!({"alg": "ES256", "kid": long}).to_string(),
            "{}",
            b""
        ))
        .is_ok()
    );
    for (header, expected) in [
        ("", Reason::TokenMalformed),
        ("null", Reason::TokenMalformed),
        ("[]", Reason::TokenMalformed),
        (r#""alg""#, Reason::TokenMalformed),
        ("{", Reason::TokenMalformed),
        (r#"{"alg":"ES256"} {}"#, Reason::TokenMalformed),
        (r#"{"alg":"none","alg":"ES256"}"#, Reason::TokenMalformed),
        (
            r#"{"alg":"ES256","x":{"a":1,"a":1}}"#,
            Reason::TokenMalformed,
        ),
        ("{}", Reason::TokenMalformed),
        (r#"{"ALG":"ES256"}"#, Reason::TokenMalformed),
        (r#"{"alg":null}"#, Reason::TokenMalformed),
        (r#"{"alg":1}"#, Reason::TokenMalformed),
        (r#"{"alg":["ES256"]}"#, Reason::TokenMalformed),
        (r#"{"alg":"ES256","kid":1}"#, Reason::TokenMalformed),
        (r#"{"alg":"ES256","kid":null}"#, Reason::TokenMalformed),
        (
            &json!({"alg": "ES256", "kid": format!("{long}k")}).to_string(),
            Reason::TokenMalformed,
        ),
        (r#"{"alg":"ES256","typ":1}"#, Reason::TokenMalformed),
        (r#"{"alg":"ES256","typ":["JWT"]}"#, Reason::TokenMalformed),
        (
            r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
            Reason::CriticalHeader,
        ),
        (
            r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
            Reason::CriticalHeader,
        ),
        (r#"{"alg":"ES256","crit":[]}"#, Reason::CriticalHeader),
        (r#"{"alg":"ES256","crit":null}"#, Reason::CriticalHeader),
        (r#"{"alg":"none","crit":["b64"]}"#, Reason::CriticalHeader),
        (r#"{"alg":"none"}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":"None"}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":""}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":"HS256"}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":"HS512"}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":"es256"}"#, Reason::AlgorithmNotAllowed),
        (r#"{"alg":"ES521"}"#, Reason::AlgorithmNotAllowed),
        (
            r#"{"alg":"RSA-OAEP","enc":"A128GCM"}"#,
            Reason::AlgorithmNotAllowed,
        ),
    ] {
        assert_eq!(
            parse(&compact(header, "{}", b"")).err(),
            Some(expected),
            "{header}"
        );
    }
    let not_utf8 = format!("{}.e30.", encode(b"{\"alg\":\"ES256\",\"kid\":\"\xff\"}"));
    assert_eq!(parse(&not_utf8).err(), Some(Reason::TokenMalformed));
}

#[test]
fn header_members_that_change_nothing() {
    for (name, value) in [
        (
            "jwk",
            json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
        ),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("enc", json!("A128GCM")),
        ("nonce", json!({"any": [1, null]})),
    ] {
        let header = json!({"alg": "ES256", name: value}).to_string();
        assert!(parse(&compact(&header, "{}", b"")).is_ok(), "{header}");
    }
}

#[test]
fn payloads() {
    for payload in [
        "",
        "text",
        "{",
        r#"{"a":1,"a":1}"#,
        "{}{}",
        "\u{feff}{}",
        r#"{"a":"\ud800"}"#,
    ] {
        assert_eq!(
            parse(&compact(HEADER, payload, b"")).err(),
            Some(Reason::TokenMalformed),
            "{payload}"
        );
    }
}

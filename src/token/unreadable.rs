//! What an operator is told of a token that cannot be read: its form, and the names in it that say
//! what is wrong. No part of it that could be a secret.

use super::claims::Claims;
use crate::escape::escaped;
use crate::jose::jws::decode_object;
use crate::json::{Json, Object};
use crate::reason::Reason;

/// What was wrong with a token that [`UnverifiedToken::parse`](super::UnverifiedToken::parse)
/// refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// What would have been right.
    pub expected: Option<String>,
    /// What was there: escaped and cut.
    pub found: String,
    /// The claim that is wrong, if it is one.
    pub claim: Option<&'static str>,
    /// Its `iss`, as it came, as far as that can be read.
    pub issuer: Option<String>,
}

impl Unreadable {
    /// Reads again what was refused for `reason`.
    #[cold]
    pub fn of(token: &[u8], reason: Reason, max_bytes: usize) -> Self {
        if reason == Reason::TokenTooLarge {
            return Self {
                expected: Some(format!("at most {max_bytes} bytes")),
                found: format!("{} bytes", token.len()),
                ..Self::default()
            };
        }
        let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').take(6).collect();
        let object = |at: usize| parts.get(at).and_then(|part| decode_object(part).ok());
        let (header, claims) = (object(0), object(1));
        let issuer = claims.as_ref().and_then(|claims| claims.get("iss"));
        let issuer = issuer
            .and_then(Json::string)
            .map(|issuer| issuer.into_owned());
        let member = |name| header.as_ref().and_then(|header| header.get(name));
        let mut claim = None;
        let (expected, found) = if reason == Reason::CriticalHeader {
            let names = member("crit").map_or("", Json::written);
            (Some("no crit".to_owned()), escaped(names))
        } else if reason == Reason::AlgorithmNotAllowed {
            let alg = member("alg").and_then(Json::string);
            let found = alg.map_or("no string".to_owned(), |alg| escaped(&alg));
            (Some("an asymmetric algorithm".to_owned()), found)
        } else if reason == Reason::ClaimsMalformed {
            let name = claims
                .clone()
                .and_then(Claims::malformed)
                .unwrap_or_default();
            claim = Some(name);
            let value = claims.as_ref().and_then(|claims| claims.get(name));
            let found = format!("{name}: {}", value.map_or("absent", Json::kind));
            (Some(format!("{name}: {}", right_form(name))), found)
        } else {
            (None, form(token, &parts, header.as_ref(), claims.is_some()))
        };
        Self {
            expected,
            found,
            claim,
            issuer,
        }
    }
}

/// What a claim has to be that is judged here.
pub fn right_form(claim: &str) -> &'static str {
    match claim {
        "iss" => "the issuer, a string (RFC 7519 §4.1.1); required",
        "aud" => "a string, or a list of strings (RFC 7519 §4.1.3); required",
        "exp" => "a number of seconds since 1970 (RFC 7519 §4.1.4); required",
        "nbf" | "iat" => "a number of seconds since 1970, or absent",
        "scope" | "scp" => "a string, or a list of strings, or absent",
        "cnf" => "an object (RFC 7800 §3.1), or absent",
        _ => "a string, or absent",
    }
}

/// What bytes look like that are no JWS.
fn form(token: &[u8], parts: &[&[u8]], header: Option<&Object>, has_claims: bool) -> String {
    match (parts.len(), header) {
        (3, None) => "a header that is not the base64url of a JSON object".to_owned(),
        (3, Some(_)) if !has_claims => {
            "claims that are not the base64url of a JSON object".to_owned()
        }
        (3, Some(_)) => {
            "a header or a signature that is malformed (alg, kid and typ are strings)".to_owned()
        }
        (5, Some(header)) if header.get("enc").is_some() => "an encrypted JWT (JWE)".to_owned(),
        (_, Some(_)) => "not three parts between dots".to_owned(),
        // Opaque tokens are of any form, dots included.
        (_, None) => format!("opaque, {} characters", token.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::UnverifiedToken;
    use super::*;
    use crate::testing::{self, encode};

    const MAX: usize = 1000;

    fn told(token: &str) -> (Option<String>, String, Option<String>) {
        let reason = UnverifiedToken::parse(token.as_bytes(), MAX).unwrap_err();
        let told = Unreadable::of(token.as_bytes(), reason, MAX);
        (told.expected, told.found, told.issuer)
    }

    #[test]
    fn the_form_of_what_is_no_jwt() {
        let jwt = |header: &str, claims: &str, signature: &str| {
            let [header, claims] = [header, claims].map(|part| encode(part.as_bytes()));
            format!("{header}.{claims}.{signature}")
        };
        let header = r#"{"alg":"ES256"}"#;
        for (token, expected) in [
            (
                "2YotnFZFEjr1zCsicMWpAA2YotnFZFEj".to_owned(),
                "opaque, 32 characters",
            ),
            ("a.b".to_owned(), "opaque, 3 characters"),
            ("a.b.c.d.e".to_owned(), "opaque, 9 characters"),
            ("a.b.c.d.e.f.g.h".to_owned(), "opaque, 15 characters"),
            (
                "e30.b.c".to_owned(),
                "claims that are not the base64url of a JSON object",
            ),
            (
                "a.e30.c".to_owned(),
                "a header that is not the base64url of a JSON object",
            ),
            (
                jwt(r#"{"alg":"ES256","kid":1}"#, "{}", "AAAA"),
                "a header or a signature that is malformed (alg, kid and typ are strings)",
            ),
            (
                jwt(header, "{}", "AAAA="),
                "a header or a signature that is malformed (alg, kid and typ are strings)",
            ),
            (
                jwt(header, "{}", "AAAA.AAAA"),
                "not three parts between dots",
            ),
            (
                jwt(r#"{"alg":"dir","enc":"A128GCM"}"#, "", "a.b.c"),
                "an encrypted JWT (JWE)",
            ),
        ] {
            assert_eq!(told(&token), (None, expected.to_owned(), None), "{token}");
        }
        let long = told(&"x".repeat(MAX + 1));
        assert_eq!(long.0.unwrap(), "at most 1000 bytes");
        assert_eq!(long.1, "1001 bytes");
    }

    #[test]
    fn the_claim_and_the_issuer() {
        let good = json!({"iss": "https://a.example\n", "aud": "a", "exp": 1});
        for (name, value, found) in [
            ("exp", json!("1"), "exp: a string"),
            ("exp", json!(1e300), "exp: a number"),
            ("aud", json!(null), "aud: null"),
            ("aud", json!([]), "aud: a list"),
            ("scope", json!({}), "scope: an object"),
            ("sub", json!(true), "sub: a boolean"),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            let (expected, told, issuer) = told(&testing::token("ES256", &json!({}), &claims));
            assert_eq!(told, found);
            assert_eq!(expected, Some(format!("{name}: {}", right_form(name))));
            assert_eq!(issuer.as_deref(), Some("https://a.example\n"));
        }
        let no_claims = testing::token("ES256", &json!({}), &json!({}));
        assert_eq!(told(&no_claims).1, "iss: absent");
        let critical = testing::token("ES256", &json!({"crit": ["x\n"]}), &good);
        assert_eq!(told(&critical).1, r#""[\"x\\n\"]""#);
        let symmetric = testing::token("ES256", &json!({"alg": "HS256\u{1b}"}), &good);
        assert_eq!(told(&symmetric).1, r#""HS256\u{1b}""#);
        assert!(told(&symmetric).2.is_some());
    }
}

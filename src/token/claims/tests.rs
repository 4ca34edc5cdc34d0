use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

fn claims(changes: &[(&str, Value)]) -> Result<Claims, Reason> {
    let mut claims =
        json!({"iss": "https://auth.example", "aud": "https://mcp.example/mcp", "exp": NOW});
    for (name, value) in changes {
        if *value == absent() {
            claims.as_object_mut().unwrap().remove(*name);
        } else {
            claims[*name] = value.clone();
        }
    }
    Claims::from_object(Object::parse(claims.to_string().into_bytes()).unwrap())
}

/// Stands for no claim at all.
fn absent() -> Value {
    json!("\0")
}

#[test]
fn registered_claims_have_their_types() {
    for (name, value) in [
        ("iss", absent()),
        ("iss", json!(null)),
        ("iss", json!(1)),
        ("iss", json!(["https://auth.example"])),
        ("aud", absent()),
        ("aud", json!(null)),
        ("aud", json!([])),
        ("aud", json!({"a": 1})),
        ("aud", json!(["https://mcp.example/mcp", 1])),
        ("aud", json!([["https://mcp.example/mcp"]])),
        ("exp", absent()),
        ("exp", json!(null)),
        ("exp", json!("1800000000")),
        ("exp", json!([1_800_000_000])),
        ("exp", json!(true)),
        ("exp", json!(-1)),
        ("exp", json!(i64::MIN)),
        ("exp", json!(-0.5)),
        ("exp", json!(253_402_300_800_u64)),
        ("exp", json!(253_402_300_799.5)),
        ("exp", json!(253_402_300_800.0)),
        // Milliseconds are a mistake of unit, not a token for 57,000 years.
        ("exp", json!(1_800_000_000_000_u64)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(1e300)),
        ("exp", json!(-1e300)),
        ("nbf", json!("1")),
        ("nbf", json!(-1)),
        ("nbf", json!(-0.5)),
        ("nbf", json!(1e18)),
        ("iat", json!("1")),
        ("iat", json!({})),
        ("iat", json!(-1)),
        ("sub", json!(1)),
        ("sub", json!(["a"])),
        ("client_id", json!(1)),
        ("jti", json!(1)),
        ("scope", json!(1)),
        ("scope", json!({"a": 1})),
        ("scope", json!(["a", 1])),
        ("scp", json!(false)),
        ("scp", json!([null])),
        ("cnf", json!("jkt")),
        ("cnf", json!(1)),
        ("cnf", json!(false)),
        ("cnf", json!([])),
        ("cnf", json!([{"jkt": "x"}])),
    ] {
        assert_eq!(
            claims(&[(name, value.clone())]).err(),
            Some(Reason::ClaimsMalformed),
            "{name} {value}"
        );
    }
    for (name, value) in [
        ("iss", json!("")),
        ("aud", json!("")),
        ("aud", json!(["a", "b"])),
        ("exp", json!(0)),
        ("exp", json!(0.0)),
        ("exp", json!(253_402_300_799_u64)),
        ("exp", json!(1.8e9)),
        ("nbf", json!(0)),
        ("iat", json!(1.5)),
        ("sub", json!("")),
        ("scope", json!("")),
        ("scope", json!([])),
        ("scp", json!(["a"])),
        ("azp", json!(null)),
        ("cnf", json!({})),
        ("roles", json!([1, {"a": null}])),
    ] {
        assert!(claims(&[(name, value.clone())]).is_ok(), "{name} {value}");
    }
}

/// Servers write `null` for what they have no value for: `sub` of a client's own token, say.
#[test]
fn an_optional_claim_that_is_null_is_absent() {
    for name in [
        "sub",
        "client_id",
        "jti",
        "nbf",
        "iat",
        "scope",
        "scp",
        "cnf",
    ] {
        let claims = claims(&[(name, json!(null))]).unwrap();
        assert_eq!(claims.string(name), None, "{name}");
        assert_eq!(claims.scopes(), [""; 0]);
        assert_eq!(claims.not_before().or(claims.issued_at()), None);
        assert!(claims.is_bearer());
    }
    let both = claims(&[("scope", json!(null)), ("scp", json!(["a"]))]).unwrap();
    assert_eq!(both.scopes(), ["a"]);
}

/// RFC 7800 §3: what this filter cannot prove, and what it does not know, binds all the same.
#[test]
fn a_confirmation_of_any_kind_binds() {
    for cnf in [
        json!({"jkt": "x"}),
        json!({"x5t#S256": "x"}),
        json!({"kid": "x"}),
        json!({"jwk": {"kty": "EC"}}),
        json!({"jwe": "x"}),
        json!({"jku": "https://x.example/keys", "kid": "x"}),
        json!({"to-come": 1}),
        json!({"jkt": null}),
        json!({}),
    ] {
        let claims = claims(&[("cnf", cnf.clone())]).unwrap();
        assert!(!claims.is_bearer(), "{cnf}");
    }
    assert!(claims(&[]).unwrap().is_bearer());
}

#[test]
fn what_a_token_says_that_it_is_for() {
    for (changes, expected) in [
        (vec![], None),
        (vec![("token_use", json!("id"))], Some("token_use")),
        (vec![("token_use", json!("access"))], None),
        (vec![("typ", json!("Refresh"))], Some("typ")),
        (vec![("typ", json!("Offline"))], Some("typ")),
        (vec![("typ", json!("ID"))], Some("typ")),
        (vec![("typ", json!("Logout"))], Some("typ")),
        (vec![("typ", json!("Bearer"))], None),
        (
            vec![("tokenType", json!("refresh-token"))],
            Some("tokenType"),
        ),
        (vec![("tokenType", json!("access-token"))], None),
        (vec![("token_type", json!("refresh"))], Some("token_type")),
        (vec![("token_type", json!("Bearer"))], None),
        (vec![("type", json!("refresh"))], Some("type")),
        (vec![("type", json!("user"))], None),
        (vec![("typ", json!(["Bearer", "ID"]))], Some("typ")),
        (
            vec![
                ("typ", json!("Bearer")),
                ("token_use", json!("refresh_token")),
            ],
            Some("token_use"),
        ),
        (vec![("typ", json!(null))], None),
        (vec![("typ", json!(1))], None),
        (vec![("typ", json!({"id": "id"}))], None),
        (vec![("typ", json!(""))], None),
        (vec![("use", json!("id"))], None),
    ] {
        let claims = claims(&changes).unwrap();
        assert_eq!(claims.other_purpose(), expected, "{changes:?}");
    }
}

#[test]
fn fractions_never_lengthen_a_life() {
    let claims = claims(&[
        ("exp", json!(10.9)),
        ("nbf", json!(5.1)),
        ("iat", json!(5.9)),
    ])
    .unwrap();
    assert_eq!(claims.expires_at(), UnixNanos::from_secs(10));
    assert_eq!(claims.not_before(), Some(UnixNanos::from_secs(6)));
    assert_eq!(claims.issued_at(), Some(UnixNanos::from_secs(5)));
}

/// (clock skew, maximal lifetime, changes, expected) at second 1,800,000,000.
#[test]
fn times() {
    let day = |days: u64| Some(days * 86_400);
    for (skew, max, changes, expected) in [
        (0, None, vec![("exp", json!(NOW + 1))], Ok(())),
        (0, None, vec![("exp", json!(NOW))], Err(Reason::Expired)),
        (
            0,
            None,
            vec![("exp", json!(NOW as f64 + 0.9))],
            Err(Reason::Expired),
        ),
        (60, None, vec![("exp", json!(NOW - 59))], Ok(())),
        (
            60,
            None,
            vec![("exp", json!(NOW - 60))],
            Err(Reason::Expired),
        ),
        (60, None, vec![("exp", json!(0))], Err(Reason::Expired)),
        (0, None, vec![("nbf", json!(NOW))], Err(Reason::Expired)),
        (60, None, vec![("nbf", json!(NOW + 60))], Ok(())),
        (
            60,
            None,
            vec![("nbf", json!(NOW as f64 + 60.1))],
            Err(Reason::NotYetValid),
        ),
        (
            60,
            None,
            vec![("nbf", json!(NOW + 61))],
            Err(Reason::NotYetValid),
        ),
        (
            60,
            None,
            vec![("nbf", json!(253_402_300_799_u64))],
            Err(Reason::NotYetValid),
        ),
        (60, None, vec![("iat", json!(NOW + 60))], Ok(())),
        (
            60,
            None,
            vec![("iat", json!(NOW + 61))],
            Err(Reason::IssuedInFuture),
        ),
        (
            60,
            None,
            vec![("nbf", json!(NOW + 61)), ("iat", json!(NOW + 61))],
            Err(Reason::NotYetValid),
        ),
        (60, day(1), vec![], Err(Reason::LifetimeTooLong)),
        (60, day(1), vec![("iat", json!(NOW - 86_400))], Ok(())),
        (
            60,
            day(1),
            vec![("iat", json!(NOW - 86_401))],
            Err(Reason::LifetimeTooLong),
        ),
        (
            60,
            day(1),
            vec![("iat", json!(NOW as f64 - 86_400.5))],
            Err(Reason::LifetimeTooLong),
        ),
        (
            60,
            day(1),
            vec![("iat", json!(NOW)), ("exp", json!(253_402_300_799_u64))],
            Err(Reason::LifetimeTooLong),
        ),
        // An expiry before the issue is nonsense, but not too long a life.
        (60, day(1), vec![("iat", json!(NOW + 30))], Ok(())),
        (u64::MAX, None, vec![("exp", json!(0))], Ok(())),
    ] {
        let policy = TokenPolicy {
            issuer: String::new(),
            algorithms: vec![],
            token_types: vec![],
            clock_skew: std::time::Duration::from_secs(skew),
            max_token_lifetime: max.map(std::time::Duration::from_secs),
        };
        let claims = claims(&changes).unwrap();
        let now = UnixNanos::from_secs(NOW);
        let judged = [
            (
                claims.is_for(&["https://mcp.example/mcp"]),
                Reason::AudienceNotAllowed,
            ),
            (claims.is_unexpired(&policy, now), Reason::Expired),
            (claims.is_begun(&policy, now), Reason::NotYetValid),
            (claims.is_issued(&policy, now), Reason::IssuedInFuture),
            (claims.is_short_lived(&policy), Reason::LifetimeTooLong),
        ]
        .into_iter()
        .find(|(passes, _)| !passes)
        .map_or(Ok(()), |(_, reason)| Err(reason));
        assert_eq!(judged, expected, "{skew} {max:?} {changes:?}");
    }
}

#[test]
fn audiences() {
    for (found, accepted, same) in [
        ("https://mcp.example/mcp", "https://mcp.example/mcp", true),
        ("https://mcp.example/mcp", "https://mcp.example/mcp/", false),
        ("https://mcp.example/mcp/", "https://mcp.example/mcp", false),
        ("https://mcp.example", "https://mcp.example/", true),
        ("https://mcp.example/", "https://mcp.example", true),
        ("https://mcp.example/", "https://mcp.example/", true),
        ("https://mcp.example//", "https://mcp.example/", false),
        ("https://mcp.example//", "https://mcp.example", false),
        (
            "https://mcp.example:8443/",
            "https://mcp.example:8443",
            true,
        ),
        ("https://mcp.example:443", "https://mcp.example", false),
        ("https://[::1]:80/", "https://[::1]:80", true),
        ("https://MCP.example", "https://mcp.example", false),
        ("HTTPS://mcp.example/", "https://mcp.example", false),
        ("http://mcp.example/", "https://mcp.example", false),
        ("https://mcp.example?", "https://mcp.example", false),
        ("https://mcp.example/?", "https://mcp.example", false),
        ("https://mcp.example#/", "https://mcp.example#", false),
        ("https://mcp.example?/", "https://mcp.example?", false),
        ("https://mcp.example\\/", "https://mcp.example\\", false),
        ("https://mcp.example.evil", "https://mcp.example", false),
        ("https://mcp.example ", "https://mcp.example", false),
        ("api", "api", true),
        ("api/", "api", false),
        ("api://guid/", "api://guid", true),
        ("1://guid/", "1://guid", false),
        ("a b://guid/", "a b://guid", false),
        ("https:///", "https://", false),
        ("://a/", "://a", false),
        ("/", "", false),
        ("", "", true),
    ] {
        assert_eq!(same_audience(found, accepted), same, "{found} {accepted}");
        assert_eq!(same_audience(accepted, found), same, "{accepted} {found}");
    }
    let one_of = claims(&[("aud", json!(["a", "https://mcp.example/"]))]).unwrap();
    assert_eq!(
        one_of.audiences().collect::<Vec<_>>(),
        ["a", "https://mcp.example/"]
    );
}

#[test]
fn scopes() {
    for (changes, expected) in [
        (vec![], vec![]),
        (vec![("scope", json!("a b"))], vec!["a", "b"]),
        (vec![("scope", json!("  a   b "))], vec!["a", "b"]),
        (
            vec![("scope", json!("A a mcp:tools/call https://x/.default"))],
            vec!["A", "a", "mcp:tools/call", "https://x/.default"],
        ),
        (vec![("scope", json!(["a", "b"]))], vec!["a", "b"]),
        (vec![("scp", json!("a b"))], vec!["a", "b"]),
        (vec![("scp", json!(["a", "b"]))], vec!["a", "b"]),
        (
            vec![("scope", json!("a b")), ("scp", json!(["b", "c"]))],
            vec!["a", "b", "c"],
        ),
        (
            vec![("scope", json!(["a"])), ("scp", json!("a a c"))],
            vec!["a", "c"],
        ),
        // No scope tokens (RFC 6749 §3.3); a list has one in each string.
        (
            vec![(
                "scope",
                json!(["a b", "", "c\"", "c\\", "é", "c\n", "\t", "d"]),
            )],
            vec!["d"],
        ),
        (vec![("scope", json!("a\tb c\u{a0}d \"e\" f"))], vec!["f"]),
    ] {
        let claims = claims(&changes).unwrap();
        assert_eq!(claims.scopes(), expected, "{changes:?}");
    }
}

/// Anybody can send such a token. Compared each with each, these would take minutes.
#[test]
fn many_scopes_cost_what_they_are_long() {
    // Compared each with each, these would take ten minutes.
    let names = |prefix: &str| {
        (0..200_000)
            .map(|at| format!("{prefix}{at} "))
            .collect::<String>()
    };
    let claims = claims(&[("scope", json!(names("a"))), ("scp", json!(names("b")))]).unwrap();
    assert_eq!(claims.scopes().len(), 400_000);
}

#[test]
fn members_by_path() {
    let claims = claims(&[
        (
            "realm_access",
            json!({"roles": ["admin"], "deep": {"er": 1}}),
        ),
        ("https://x.example/org", json!("acme")),
        ("sub", json!("alice")),
    ])
    .unwrap();
    let get = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        claims.get(&path)
    };
    assert_eq!(get(&["realm_access", "roles"]), Some(json!(["admin"])));
    assert_eq!(get(&["realm_access", "deep", "er"]), Some(json!(1)));
    assert_eq!(get(&["https://x.example/org"]), Some(json!("acme")));
    assert_eq!(get(&["iss"]), Some(json!("https://auth.example")));
    for path in [
        &[][..],
        &["none"],
        &["sub", "x"],
        &["realm_access", "roles", "0"],
        &["realm_access", "none"],
    ] {
        assert_eq!(get(path), None, "{path:?}");
    }
    assert_eq!(claims.string("sub").as_deref(), Some("alice"));
    assert_eq!(claims.string("exp"), None);
    assert_eq!(claims.issuer(), "https://auth.example");
}

#[test]
fn debug_shows_nothing() {
    let claims = claims(&[("sub", json!("alice"))]).unwrap();
    assert_eq!(format!("{claims:?}"), "Claims { .. }");
}

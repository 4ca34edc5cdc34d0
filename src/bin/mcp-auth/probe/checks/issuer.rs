//! The authorization servers that the metadata names, and their keys.

use mcp_auth_filter::jose::jwk::KeySet;
use url::Url;

use super::Check;
use crate::probe::clients::{Registration, is_url, registration};
use crate::probe::metadata::{Document, issuer_places, issuers_named, of_issuer, of_resource};
use crate::probe::transcript::{Kind, Transcript, is_loopback};
use crate::show;

const EVERYBODY: &str = "every client";

pub(super) fn all(transcript: &Transcript) -> Vec<Check> {
    let named = of_resource(transcript);
    let named =
        named.and_then(|one| Some(one.texts("authorization_servers")?.first()?.to_string()));
    let Some(name) = named else {
        return Vec::new();
    };
    let found = name
        .parse()
        .ok()
        .and_then(|url: Url| of_issuer(transcript, &url));
    let Some(found) = found else {
        return vec![missing(transcript, &name)];
    };
    let mut checks = vec![
        Check::pass(
            "issuer-metadata",
            "metadata of the authorization server",
            found.url.to_string(),
        ),
        same_name(&found, &name),
        endpoints(&found),
        pkce(&found),
        register(&found),
        offline(&found),
    ];
    checks.push(keys(transcript, &found));
    checks
}

fn missing(transcript: &Transcript, name: &str) -> Check {
    let places = issuers_named(transcript);
    let places = places.first().map(issuer_places).unwrap_or_default();
    let asked: Vec<String> = places
        .iter()
        .map(|url| match transcript.outcome(Kind::Document, url) {
            Some(Ok(answer)) => format!("{url} {}", answer.status),
            Some(Err(trouble)) => format!("{url}: {}", trouble.describe()),
            None => format!("{url} not asked"),
        })
        .collect();
    let expected = "metadata of the authorization server (RFC 8414, or OpenID Connect)";
    Check::pass("issuer-metadata", expected, asked.join("; ")).fails(
        EVERYBODY,
        format!(
            "{name} has to serve it where one of these is asked for, or another issuer is meant"
        ),
    )
}

fn same_name(found: &Document<'_>, name: &str) -> Check {
    let own = found.text("issuer").unwrap_or("no issuer");
    let expected = "the issuer calls itself as authorization_servers does, to the letter";
    if own == name {
        return Check::pass("issuer", expected, own.to_owned());
    }
    let found = format!("it calls itself {own}; authorization_servers has {name}");
    let check = Check::pass("issuer", expected, found);
    let mend = format!("write {own} in authorization_servers, and where tokens are verified");
    if own.trim_end_matches('/') == name.trim_end_matches('/') {
        return check.fails(
            "Python SDK; TypeScript SDK 2 where the slash is the issuer's; RFC 8414 §3.3 has no tolerance",
            format!("{mend} (servers of the Python SDK and FastMCP add a slash to a bare host by themselves: there the issuer has to have it too, or something before the server serves the metadata)"),
        );
    }
    check.fails(
        "Python SDK, TypeScript SDK 2, Rust SDK (RFC 8414 §3.3)",
        mend,
    )
}

fn endpoints(found: &Document<'_>) -> Check {
    let shown = |name| found.text(name).unwrap_or("none").to_owned();
    let text = format!(
        "authorization_endpoint {}, token_endpoint {}",
        shown("authorization_endpoint"),
        shown("token_endpoint")
    );
    let expected = "both endpoints, over https; response_types_supported with code";
    let check = Check::pass("issuer-endpoints", expected, text);
    for name in ["authorization_endpoint", "token_endpoint"] {
        let url = found.text(name).and_then(|text| text.parse::<Url>().ok());
        let Some(url) = url.filter(|_| is_url(found.members.get(name))) else {
            return check.fails(EVERYBODY, format!("the issuer's metadata needs {name}"));
        };
        if url.scheme() != "https" && !is_loopback(&url) {
            return check.fails(
                "TypeScript SDK 2, Claude",
                format!("serve {name} over https"),
            );
        }
    }
    match found.texts("response_types_supported") {
        None => check.fails(
            "TypeScript SDKs: their schema asks for response_types_supported (RFC 8414 §2)",
            "list response_types_supported: [\"code\"]",
        ),
        Some(types) if !types.contains(&"code") => check.fails(
            "TypeScript and Rust SDKs",
            "let the issuer support the type code",
        ),
        Some(_) => check,
    }
}

fn pkce(found: &Document<'_>) -> Check {
    let methods = found.texts("code_challenge_methods_supported");
    let shown = methods
        .as_ref()
        .map_or("not said".to_owned(), |all| all.join(" "));
    let expected = "S256 in code_challenge_methods_supported";
    let check = Check::pass("pkce", expected, shown);
    match methods {
        Some(methods) if methods.contains(&"S256") => check,
        Some(_) => check.fails("TypeScript and Rust SDKs", "let the issuer support S256"),
        None => check.notes(
            "clients have to refuse such an issuer (MCP), Claude among them; the SDKs do not",
            "have the issuer say so (Entra ID does not: mirror its metadata with the member added)",
        ),
    }
}

fn register(found: &Document<'_>) -> Check {
    let by_url = found.members.get("client_id_metadata_document_supported");
    let mut ways = Vec::new();
    if by_url.and_then(serde_json::Value::as_bool) == Some(true) {
        ways.push("by the URL of its metadata (CIMD)");
    }
    if is_url(found.members.get("registration_endpoint")) {
        ways.push("by itself (RFC 7591)");
    }
    let by_hand = registration(found) == Registration::ByHand;
    if by_hand {
        ways.push("by hand alone");
    }
    let expected = "a way for clients to get a client ID";
    let check = Check::pass("registration", expected, ways.join(", "));
    if by_hand {
        return check.notes(
            "clients that cannot be given a client ID",
            "register a client at the issuer, and give its ID to every user; or let the issuer support CIMD or registration",
        );
    }
    check
}

fn offline(found: &Document<'_>) -> Check {
    let scopes = found.texts("scopes_supported").unwrap_or_default();
    let advertised = scopes.contains(&"offline_access");
    let shown = if advertised {
        "advertised"
    } else {
        "not advertised"
    };
    let expected = "offline_access is granted where it is advertised";
    let check = Check::pass("offline-access", expected, shown.to_owned());
    if advertised {
        return check.notes(
            "Codex loses its session after minutes if it is advertised and not granted",
            "try a login with it, or take it out of scopes_supported",
        );
    }
    check
}

fn keys(transcript: &Transcript, found: &Document<'_>) -> Check {
    let expected = "a key set with a usable asymmetric key";
    let mend = "correct jwks_uri, or the issuer's key set";
    let breaks = "whoever verifies tokens: everybody is refused";
    let Some(uri) = found
        .text("jwks_uri")
        .and_then(|uri| uri.parse::<Url>().ok())
    else {
        return Check::pass("keys", expected, "no jwks_uri".to_owned()).notes(
            "servers that verify tokens themselves; opaque tokens need introspection",
            "none, if the issuer's tokens are opaque",
        );
    };
    let text = match transcript.outcome(Kind::Document, &uri) {
        None => format!("{uri} was not asked"),
        Some(Err(trouble)) => format!("{uri}: {}", trouble.describe()),
        Some(Ok(_)) => {
            let answer = transcript.settled(Kind::Document, &uri);
            let usable = answer.filter(|one| one.status == 200);
            match usable.map(|one| KeySet::parse(&one.body)) {
                Some(Ok((set, skipped))) => return describe(&set, skipped.len(), expected),
                Some(Err(error)) => format!("{uri}: {error}"),
                None => format!("{uri}: status {}", answer.map_or(0, |one| one.status)),
            }
        }
    };
    Check::pass("keys", expected, text).fails(breaks, mend)
}

fn describe(set: &KeySet, skipped: usize, expected: &'static str) -> Check {
    let mut algorithms: Vec<String> = Vec::new();
    for algorithm in set.keys().iter().flat_map(|key| key.algorithms()) {
        let name = algorithm.name().to_owned();
        if !algorithms.contains(&name) {
            algorithms.push(name);
        }
    }
    let usable = set.keys().len();
    let text = format!(
        "{} for {}; {skipped} not usable",
        show::counted(usable, "key"),
        show::joined(algorithms, "and")
    );
    let check = Check::pass("keys", expected, text);
    if usable == 0 {
        return check.fails(
            "whoever verifies tokens: everybody is refused",
            "let the issuer sign with RS256, PS256, ES256 or EdDSA, and publish the key",
        );
    }
    check
}

//! What a browser lets a client see: the web Inspector and clients in web pages need it.

use super::Check;
use crate::probe::metadata::{documents_in_use, endpoints_of_pages};
use crate::probe::transcript::{Answer, BROWSER_ORIGIN, Kind, Transcript};

const WHO: &str = "clients in a browser: the web Inspector, and web pages";

pub(super) fn all(transcript: &Transcript) -> Vec<Check> {
    let mut checks = vec![check(
        "cors-preflight",
        "a preflight passes without a token, and allows the headers of MCP",
        preflight(transcript),
        "answer OPTIONS with 204 before tokens are checked, with access-control-allow-origin and access-control-allow-headers",
    )];
    let from_browser = transcript.first(Kind::FromBrowser);
    if from_browser.is_some_and(|answer| matches!(answer.status, 401 | 403)) {
        checks.push(check(
            "cors-challenge",
            "the 401 may be read, its WWW-Authenticate too",
            refusal(transcript),
            "send access-control-allow-origin and access-control-expose-headers: WWW-Authenticate, Mcp-Session-Id with every answer of the endpoint",
        ));
    }
    if !documents_in_use(transcript).is_empty() {
        checks.push(check(
            "cors-metadata",
            "the metadata documents may be read",
            documents(transcript).or_else(|| second_try(transcript)),
            "send access-control-allow-origin: * with them, and answer OPTIONS with 204",
        ));
    }
    if !endpoints_of_pages(transcript).is_empty() {
        checks.push(check(
            "cors-issuer",
            "a page may ask for tokens, and register",
            endpoints(transcript),
            "let the authorization server allow other origins at these endpoints (CORS); some do so for the origins of known clients alone",
        ));
    }
    checks
}

fn check(name: &'static str, expected: &'static str, fault: Option<String>, mend: &str) -> Check {
    match fault {
        Some(fault) => Check::pass(name, expected, fault).notes(WHO, mend),
        None => Check::pass(name, expected, format!("for a page on {BROWSER_ORIGIN}")),
    }
}

/// Why a browser keeps a login from going through, if it does.
pub(crate) fn blocks(transcript: &Transcript) -> Option<String> {
    preflight(transcript)
        .or_else(|| refusal(transcript))
        .or_else(|| documents(transcript))
}

fn allows_origin(answer: &Answer) -> bool {
    matches!(
        answer.header("access-control-allow-origin"),
        Some("*" | BROWSER_ORIGIN)
    )
}

/// Whether a list of names in a header has this one, or all.
fn lists(answer: &Answer, header: &str, name: &str) -> bool {
    let joined = answer.header_joined(header).unwrap_or_default();
    let mut names = joined.split(',').map(str::trim);
    names.any(|found| found.eq_ignore_ascii_case(name) || found == "*")
}

fn preflight(transcript: &Transcript) -> Option<String> {
    let answer = transcript.endpoint(Kind::Preflight)?;
    if !answer.is_success() {
        return Some(format!(
            "a preflight of the endpoint gets {}",
            answer.status
        ));
    }
    if !allows_origin(answer) {
        return Some("a preflight of the endpoint does not allow the origin".to_owned());
    }
    let joined = answer
        .header_joined("access-control-allow-headers")
        .unwrap_or_default();
    let names: Vec<&str> = joined.split(',').map(str::trim).collect();
    // `*` does not cover Authorization (Fetch, CORS-unsafe request-header names).
    let lacks = |name: &&str| {
        let named = names.iter().any(|one| one.eq_ignore_ascii_case(name));
        !named && (*name == "authorization" || !names.contains(&"*"))
    };
    let wanted = ["authorization", "content-type", "mcp-protocol-version"];
    let missing = wanted.iter().find(|name| lacks(name))?;
    Some(format!(
        "a preflight of the endpoint does not allow the header {missing}"
    ))
}

fn refusal(transcript: &Transcript) -> Option<String> {
    let answer = transcript.first(Kind::FromBrowser)?;
    if answer.status == 403 {
        return Some("the origin is refused (403)".to_owned());
    }
    if answer.status != 401 {
        return None;
    }
    if !allows_origin(answer) {
        return Some("the 401 lacks access-control-allow-origin".to_owned());
    }
    let exposes = lists(answer, "access-control-expose-headers", "www-authenticate");
    (!exposes).then(|| "the 401 does not expose WWW-Authenticate".to_owned())
}

fn documents(transcript: &Transcript) -> Option<String> {
    documents_in_use(transcript).iter().find_map(|url| {
        let answer = transcript.settled(Kind::Document, url)?;
        (!allows_origin(answer)).then(|| format!("{url} lacks access-control-allow-origin"))
    })
}

/// An endpoint of the issuer whose preflight fails. Tokens are asked for without one, but a server
/// that knows of pages answers it.
fn endpoints(transcript: &Transcript) -> Option<String> {
    endpoints_of_pages(transcript).iter().find_map(|url| {
        let answer = transcript.answer(Kind::Preflight, url)?;
        let passes = answer.is_success() && allows_origin(answer);
        (!passes).then(|| format!("a preflight of {url} does not allow the origin"))
    })
}

/// A document whose preflight fails: the SDKs' header needs one, and without it they ask again.
fn second_try(transcript: &Transcript) -> Option<String> {
    documents_in_use(transcript).iter().find_map(|url| {
        let answer = transcript.answer(Kind::Preflight, url)?;
        let passes = answer.is_success() && allows_origin(answer);
        (!passes)
            .then(|| format!("{url} can be read, but only without the header MCP-Protocol-Version"))
    })
}

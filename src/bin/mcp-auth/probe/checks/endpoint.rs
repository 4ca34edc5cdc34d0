//! What the endpoint says without a token: status and challenge.

use url::Url;

use super::Check;
use crate::probe::challenge::{self, Challenge};
use crate::probe::clients::is_result;
use crate::probe::metadata::of_resource;
use crate::probe::transcript::{
    Answer, Exchange, Kind, Transcript, Trouble, is_loopback, redirect, same_origin,
};

const EVERYBODY: &str = "every client";

pub(super) fn all(transcript: &Transcript) -> Vec<Check> {
    let mut checks = vec![answers(transcript)];
    if transcript.exchanges.len() <= 1 {
        return checks;
    }
    checks.push(transport(transcript));
    checks.extend(redirects(transcript));
    checks.push(status(transcript));
    checks.extend(without_a_body(transcript));
    if let Some(refused) = refused(transcript) {
        checks.extend(challenged(transcript, refused));
    }
    checks
}

/// The first 401 of the endpoint.
fn refused(transcript: &Transcript) -> Option<&Answer> {
    [Kind::Discover, Kind::Initialize]
        .iter()
        .filter_map(|kind| transcript.first(*kind))
        .find(|answer| answer.status == 401)
}

fn answers(transcript: &Transcript) -> Check {
    let outcome = transcript.outcome(Kind::Discover, &transcript.url);
    let found = match outcome {
        Some(Ok(_)) => "it answers".to_owned(),
        Some(Err(trouble)) => trouble.describe(),
        None => "nothing was sent".to_owned(),
    };
    let check = Check::pass("endpoint", "an HTTP answer to a POST", found);
    match outcome {
        Some(Ok(_)) => check,
        Some(Err(trouble)) => check.fails(EVERYBODY, mend_trouble(trouble)),
        None => check.fails(EVERYBODY, mend_trouble(&Trouble::NotSent)),
    }
}

fn mend_trouble(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::NoSuchHost => "correct the host of the URL, or enter it in the DNS",
        Trouble::Connection(_) | Trouble::NotSent => {
            "start the server, or correct scheme, host and port of the URL; look for a firewall"
        }
        // As rustls says that what came is not TLS.
        Trouble::Tls(why) if why.contains("InvalidContentType") => {
            "the server speaks no TLS there: begin the URL with http://, or put TLS before the server"
        }
        Trouble::Tls(_) => {
            "get a certificate that Mozilla's roots vouch for, for this name and with its chain: Node.js and Python trust no others; --ca has the probe trust those of a private CA"
        }
        Trouble::Timeout => {
            "the server hangs, or something before it drops the request; --timeout has the probe wait longer"
        }
        Trouble::NotHttp(_) => "correct the port: what listens there does not speak HTTP/1.1",
    }
}

fn transport(transcript: &Transcript) -> Check {
    let url = &transcript.url;
    let at_home = if is_loopback(url) {
        ", this machine"
    } else {
        ""
    };
    let found = format!("{}{at_home}", url.scheme());
    let check = Check::pass("tls", "https, or this machine", found);
    if url.scheme() == "https" || is_loopback(url) {
        check
    } else {
        check.fails(
            "Claude; tokens travel in the clear",
            "serve the endpoint over https",
        )
    }
}

/// Redirects to another host: clients drop the token there, or do not follow.
fn redirects(transcript: &Transcript) -> Option<Check> {
    let leads = |exchange: &Exchange| {
        let answer = exchange.outcome.as_ref().ok()?;
        let to = redirect(&exchange.request.url, answer)?;
        Some((exchange.request.clone(), answer.status, to))
    };
    let all: Vec<_> = transcript.exchanges.iter().filter_map(leads).collect();
    let abroad = all.iter().find(|(from, _, to)| !same_origin(&from.url, to));
    let (from, status, to) = abroad.or(all.first())?;
    let found = format!("{} {} is a {status} to {to}", from.method, from.url);
    let check = Check::pass("redirects", "no redirects", found);
    Some(if abroad.is_some() {
        check.fails(
            "every SDK stays within the origin; others lose the token on the way",
            "give clients the URL that the redirect leads to, or serve the endpoint and its metadata where they are asked for",
        )
    } else {
        check.notes(
            "clients that send the body again only where it was sent first",
            "give clients the URL that the redirect leads to (a slash at the end is the usual cause)",
        )
    })
}

fn status(transcript: &Transcript) -> Check {
    let seen = |kind: Kind| transcript.first(kind);
    let describe = |kind| match seen(kind) {
        Some(answer) => with_error(answer),
        None => "no answer".to_owned(),
    };
    let found = format!(
        "server/discover: {}; initialize: {}",
        describe(Kind::Discover),
        describe(Kind::Initialize)
    );
    let check = Check::pass("status", "401 without a token, for both", found);
    let both = [seen(Kind::Discover), seen(Kind::Initialize)];
    let all_401 = both
        .iter()
        .all(|one| one.is_some_and(|one| one.status == 401));
    if all_401 {
        return check;
    }
    if is_open(transcript) {
        return open(transcript, check);
    }
    let mut others = both.iter().flatten().filter(|one| one.status != 401);
    let worst = others.next();
    let Some(answer) = worst else {
        return check.fails(EVERYBODY, "let the endpoint answer both");
    };
    if answer.is_success() {
        let check = Check {
            name: "error-with-success",
            ..check
        };
        return check.fails(
            EVERYBODY,
            "an error about a missing token has status 401 and WWW-Authenticate: clients do not look for it in a body with status 200",
        );
    }
    let initializes = seen(Kind::Initialize).is_some_and(|one| one.status == 401);
    let mend = mend_status(answer.status);
    if initializes {
        return check.notes(
            "clients of 2026-07-28 take this for an old server, and begin again with initialize",
            mend,
        );
    }
    check.fails(EVERYBODY, mend)
}

/// Whether it answers without a token.
pub(super) fn is_open(transcript: &Transcript) -> bool {
    let mut both = [Kind::Discover, Kind::Initialize].into_iter();
    both.any(|kind| transcript.first(kind).is_some_and(is_result))
}

fn open(transcript: &Transcript, check: Check) -> Check {
    let check = Check {
        name: "open",
        ..check
    };
    if of_resource(transcript).is_some() {
        return check.fails(
            "nobody: everybody gets in, with or without a token",
            "the host serves metadata of a protected resource, but this endpoint answers without a token: what checks tokens for the rest of the application does not stand before it (an application that is mounted beside the routes with the check is the usual cause)",
        );
    }
    check.fails(
        "nobody: everybody gets in",
        "put something that checks tokens before it: `mcp-auth init` writes the configuration of such an Envoy",
    )
}

fn mend_status(status: u16) -> &'static str {
    match status {
        400 => {
            "check the token before the message: clients take 400 for a server of another version"
        }
        403 => {
            "answer 401 with a challenge where there is no token: 403 is for tokens that lack a scope, and most clients stop at it"
        }
        404 => {
            "correct the path of the URL, or route it to the server, with and without what is below it"
        }
        405 => {
            "let POST through to the endpoint: what answers 405 does not know that MCP is spoken here"
        }
        406 => {
            "check the token before `Accept`; a server that answers 406 has no check of tokens before it, and clients that send `Accept: application/json, text/event-stream` are told about media types instead of the login"
        }
        415 => "check the token before the media type of the body",
        429 => "let clients without a token learn what to do before they are limited",
        500..=599 => {
            "an exception where the token is missing (or the upstream is away) is no answer for clients: say 401 with a challenge; 503 is for when keys or upstream cannot be reached"
        }
        _ => "answer 401 with a challenge where there is no token",
    }
}

/// The status, and what an error in the body calls itself.
fn with_error(answer: &Answer) -> String {
    let status = answer.status;
    let Some(members) = answer.object() else {
        return status.to_string();
    };
    let error = members.get("error").or(members.get("detail"));
    let message = error.and_then(|error| match error.get("message") {
        Some(message) => message.as_str(),
        None => error.as_str(),
    });
    match message {
        Some(message) => format!("{status} with the error \"{message}\""),
        None if members.contains_key("result") => format!("{status} with a result"),
        None if members.contains_key("error") => format!("{status} with an error"),
        None => status.to_string(),
    }
}

/// GET and HEAD: the Rust SDK asks by the one, Gemini CLI by the other.
fn without_a_body(transcript: &Transcript) -> Option<Check> {
    let status = |kind| transcript.first(kind).map(|answer| answer.status);
    let (get, head) = (status(Kind::Get), status(Kind::Head));
    let show = |status: Option<u16>| status.map_or("no answer".to_owned(), |one| one.to_string());
    let found = format!("GET: {}, HEAD: {}", show(get), show(head));
    let check = Check::pass("get-and-head", "401, or 405 where GET is not spoken", found);
    let fine = |status| matches!(status, Some(401 | 405));
    Some(if fine(get) && fine(head) {
        check
    } else if matches!(get, Some(200..=299)) {
        check.fails(
            "a stream of the server's messages is open to everybody",
            "check the token for every method",
        )
    } else {
        check.notes(
            "the Rust SDK (Codex) asks by GET where the challenge does not name the metadata, and gives up at 5xx; Gemini CLI by HEAD",
            "answer every method with the same 401",
        )
    })
}

fn challenged(transcript: &Transcript, answer: &Answer) -> Vec<Check> {
    let lines: Vec<&str> = answer.header_lines("www-authenticate").collect();
    let found = if lines.is_empty() {
        "no WWW-Authenticate".to_owned()
    } else {
        lines.join(" | ")
    };
    let expected = "one line: Bearer resource_metadata=\"<absolute URL>\", scope=\"…\"";
    let check = Check::pass("challenge", expected, found);
    let [line] = lines.as_slice() else {
        return vec![if lines.is_empty() {
            check.fails(
                "the Rust SDK (Codex) does not log in at all; nobody learns which scopes to ask for",
                "send WWW-Authenticate with the 401 (RFC 9728 §5.1); behind AWS API Gateway look for x-amzn-remapped-www-authenticate",
            )
        } else {
            check.fails(
                "the Rust SDK reads the first line alone, the TypeScript SDKs (Claude Code, Cline, opencode, Inspector) the first scheme",
                "send one line, Bearer first",
            )
        }];
    };
    let parsed = challenge::parse(line);
    let bearer = parsed.as_ref().and_then(|all| {
        all.iter()
            .find(|one| one.scheme.eq_ignore_ascii_case("Bearer"))
    });
    let mut checks = vec![syntax(check, line, parsed.as_deref())];
    checks.push(metadata_url(transcript, line, bearer));
    checks.extend(bearer.map(parameters));
    checks
}

fn syntax(check: Check, line: &str, parsed: Option<&[Challenge]>) -> Check {
    let Some(parsed) = parsed else {
        return check.fails(
            "clients with a strict parser; the Python and TypeScript SDKs read on until the next comma or space",
            "quote every value (RFC 9110 §11.2: a URL is no token), and put commas between parameters",
        );
    };
    let unquoted = parsed
        .iter()
        .flat_map(|one| &one.parameters)
        .any(|one| !one.quoted);
    let first = parsed
        .first()
        .map(|one| one.scheme.as_str())
        .unwrap_or_default();
    if !first.eq_ignore_ascii_case("Bearer") {
        return check.fails(
            "the TypeScript SDKs (Claude Code, Cline, opencode, Inspector): they look at the first scheme alone",
            "put Bearer first, or send it alone",
        );
    }
    if !line.starts_with("Bearer ") {
        return check.fails(
            "VS Code compares the letters of `Bearer`, and everybody needs a parameter behind it",
            "write it as `Bearer `, with resource_metadata behind it",
        );
    }
    if unquoted {
        return check.notes("strict parsers", "quote every value");
    }
    check
}

fn metadata_url(transcript: &Transcript, line: &str, bearer: Option<&Challenge>) -> Check {
    let strict = bearer.and_then(|one| one.get("resource_metadata"));
    let value = strict
        .map(str::to_owned)
        .or_else(|| challenge::parameter_anywhere(line, "resource_metadata"));
    let expected = "an absolute URL on the endpoint's own origin";
    let found = value
        .clone()
        .unwrap_or_else(|| "no resource_metadata".to_owned());
    let check = Check::pass("resource-metadata-url", expected, found);
    let Some(value) = value else {
        return check.notes(
            "clients that do not guess; the rest asks the well-known places",
            "name the metadata in the challenge (RFC 9728 §5.1)",
        );
    };
    let Ok(url) = value.parse::<Url>() else {
        return check.fails(
            "the Python SDK fails; the TypeScript SDKs, Claude and VS Code pass over it",
            "write the whole URL, with scheme and host",
        );
    };
    if same_origin(&transcript.url, &url) {
        return check;
    }
    let leads_home = is_loopback(&url) && !is_loopback(&transcript.url);
    if leads_home || url.scheme() != transcript.url.scheme() {
        return check.fails(
            "everybody: the URL leads nowhere from outside",
            "tell the server its public URL; behind a proxy it takes its own address, or http, for it",
        );
    }
    check.notes(
        "clients that trust the endpoint's own origin alone",
        "serve the metadata on the endpoint's own host",
    )
}

fn parameters(bearer: &Challenge) -> Check {
    let error = bearer.get("error");
    let scope = bearer.get("scope");
    let found = format!(
        "scope {}, error {}",
        scope.map_or("none".to_owned(), |scope| format!("\"{scope}\"")),
        error.unwrap_or("none")
    );
    let expected = "the scopes that are needed; no error where no token was sent";
    let check = Check::pass("challenge-parameters", expected, found);
    if scope.is_some_and(|scope| scope.split(' ').any(|one| one == "offline_access")) {
        return check.notes(
            "servers should not ask for offline_access (MCP 2026-07-28): clients add it by themselves",
            "take it out of the challenge",
        );
    }
    if scope.is_none() {
        return check.notes(
            "nobody, but clients ask for all scopes that the metadata lists",
            "name the scopes that a first login needs",
        );
    }
    if error.is_some() {
        return check.notes(
            "nobody known; RFC 6750 §3.1 has no error for a request without a token",
            "leave error out where no token was sent",
        );
    }
    check
}

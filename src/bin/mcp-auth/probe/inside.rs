//! What the user's own token opens, and what it must not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::challenge;
use super::checks::Check;
use super::clients::is_result;
use super::metadata::{key_sets, of_resource};
use super::plan::{LEGACY, Recorder, discover, initialize, message, plain, tools_list};
use super::transcript::{Answer, Inside, Kind, Request, Transcript};
use crate::show;

/// Sends what needs the token.
pub(crate) fn ask(recorder: &mut Recorder<'_>, token: &str) {
    let url = recorder.transcript.url.clone();
    let with = |token: &str, mut request: Request| {
        request
            .headers
            .push(("authorization", format!("Bearer {token}")));
        request
    };
    let begin = |modern: bool, kind: Inside| {
        if modern {
            discover(&url, Kind::Inside(kind))
        } else {
            initialize(&url, Kind::Inside(kind))
        }
    };
    recorder.send(with(token, begin(true, Inside::Discover)));
    let answer = |recorder: &Recorder<'_>, kind| {
        let found = recorder.transcript.first(Kind::Inside(kind));
        found.filter(|answer| is_result(answer)).cloned()
    };
    let modern = answer(recorder, Inside::Discover).is_some();
    let mut session = None;
    if !modern {
        recorder.send(with(token, begin(false, Inside::Initialize)));
        let begun = answer(recorder, Inside::Initialize);
        session = begun.and_then(|one| one.header("mcp-session-id").map(str::to_owned));
    }
    let in_session = |mut request: Request| {
        if let Some(session) = &session {
            request.headers.push(("mcp-session-id", session.clone()));
        }
        request
    };
    if modern || answer(recorder, Inside::Initialize).is_some() {
        if !modern {
            let body = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            let mut request = message(&url, Kind::Inside(Inside::Initialized), &body);
            request
                .headers
                .push(("mcp-protocol-version", LEGACY.to_owned()));
            recorder.send(in_session(with(token, request)));
        }
        let list = |kind| in_session(tools_list(&url, kind, modern));
        recorder.send(with(token, list(Inside::ToolsList)));
        recorder.send(list(Inside::WithoutToken));
    }
    recorder.send(with(&altered(token), begin(modern, Inside::Altered)));
    let mut beside = begin(modern, Inside::Beside);
    beside.url = beside_of(&url);
    recorder.send_once(with(token, beside));
    if session.is_some() {
        let end = plain(Kind::Inside(Inside::EndSession), "DELETE", &url);
        recorder.send(in_session(with(token, end)));
    }
}

/// A path that only a server which looks at no path would answer at.
fn beside_of(url: &Url) -> Url {
    let mut beside = url.clone();
    beside.set_path("/mcp-auth-probe-beside");
    beside
}

/// The token with one character in the middle of its last part changed: in a JWT the signature.
fn altered(token: &str) -> String {
    let start = token.rfind('.').map_or(0, |dot| dot.saturating_add(1));
    let middle = start.saturating_add(token.len()) / 2;
    token
        .char_indices()
        .map(|(at, character)| match (at == middle, character) {
            (false, _) => character,
            (true, 'A') => 'B',
            (true, _) => 'A',
        })
        .collect()
}

/// The checks, if a token was sent.
pub(crate) fn checks(transcript: &Transcript, token: &str) -> Vec<Check> {
    let seen = |kind| transcript.first(Kind::Inside(kind));
    let modern = seen(Inside::Discover).filter(|answer| is_result(answer));
    let begun = modern
        .or(seen(Inside::Initialize))
        .or(seen(Inside::Discover));
    let Some(begun) = begun else {
        return Vec::new();
    };
    let mut checks = vec![begin(transcript, begun)];
    checks.extend(seen(Inside::ToolsList).map(tools));
    checks.extend(seen(Inside::WithoutToken).map(|answer| {
        let expected = "tools/list without the token gets 401";
        refused(
            "without-token",
            expected,
            answer,
            "a session alone opens the server to whoever learns its ID",
        )
    }));
    checks.extend(seen(Inside::Altered).map(|answer| {
        let expected = "the token with one byte changed gets 401 with error=\"invalid_token\"";
        refused(
            "altered-token",
            expected,
            answer,
            "signatures are not verified: anybody can write a token",
        )
    }));
    let beside = transcript.answer(Kind::Inside(Inside::Beside), &beside_of(&transcript.url));
    checks.extend(beside.map(beside_check));
    if is_result(begun) {
        checks.extend(audience(transcript, token));
    }
    checks
}

fn describe(answer: &Answer) -> String {
    let error = answer
        .header("www-authenticate")
        .and_then(|line| challenge::parameter_anywhere(line, "error"));
    let description = answer
        .header("www-authenticate")
        .and_then(|line| challenge::parameter_anywhere(line, "error_description"));
    let mut text = format!("status {}", answer.status);
    for part in [error, description].into_iter().flatten() {
        text.push_str(&format!(", {part}"));
    }
    text
}

fn begin(transcript: &Transcript, begun: &Answer) -> Check {
    let expected = "server/discover or initialize is answered";
    let check = Check::pass("with-token", expected, describe(begun));
    if is_result(begun) {
        return check;
    }
    let sets = key_sets(transcript);
    let keys_are_away = sets.iter().any(|url| {
        let found = transcript.settled(Kind::Document, url);
        found.is_none_or(|answer| answer.status != 200)
    });
    match begun.status {
        401 if keys_are_away => Check {
            name: "outage",
            expected: "503 with retry-after while the issuer's keys cannot be had",
            ..check
        }
        .fails(
            "every client throws its token away, and its user logs in again for nothing",
            "answer 503 where a token cannot be judged; 401 says that it is bad",
        ),
        401 => check.fails(
            "this token",
            "read the description, or ask `mcp-auth explain` with the filter's configuration",
        ),
        403 => check.fails(
            "this token",
            "get a token with the scopes that the challenge names",
        ),
        _ => check.fails("every client with a token", "look into the server's log"),
    }
}

fn tools(answer: &Answer) -> Check {
    let count = answer
        .object()
        .and_then(|object| Some(object.get("result")?.get("tools")?.as_array()?.len()));
    let text = count.map_or_else(|| describe(answer), |count| show::counted(count, "tool"));
    let check = Check::pass("tools", "tools/list is answered", text);
    if count.is_some() {
        return check;
    }
    if answer.cut {
        return check.notes("nobody", "none: the answer is longer than the probe reads");
    }
    check.fails("every client with this token", "look into the server's log")
}

/// What a token that is no good gets.
pub(crate) fn bad_token(transcript: &Transcript) -> Option<Check> {
    let answer = transcript.first(Kind::BadToken)?;
    let open = transcript.first(Kind::Initialize).is_some_and(is_result);
    let expected = "a made-up token gets 401 with error=\"invalid_token\"";
    let check = refused(
        "bad-token",
        expected,
        answer,
        "anybody gets in with any token",
    );
    // That it is open to everybody, or asks nobody for a token, is said already.
    let without = transcript.first(Kind::Initialize);
    let same = without.is_some_and(|one| one.status == answer.status && one.status != 401);
    (!open && (!same || is_result(answer))).then_some(check)
}

fn refused(
    name: &'static str,
    expected: &'static str,
    answer: &Answer,
    breaks: &'static str,
) -> Check {
    let check = Check::pass(name, expected, describe(answer));
    if is_result(answer) {
        return check.fails(
            breaks,
            "verify the token on every request, whatever else comes with it",
        );
    }
    match answer.status {
        401 if name != "without-token" && answer.header("www-authenticate").is_none() => check
            .notes(
                "clients whose token has expired are not told so",
                "send WWW-Authenticate with error=\"invalid_token\"",
            ),
        401 => check,
        // The issuer may have a new key, and may be asked for it so often alone.
        503 if answer.header("retry-after").is_some() && name == "altered-token" => check,
        _ => check.fails(
            "clients whose token has expired do not log in again: they look for 401",
            "answer 401 with a challenge to a token that is no good",
        ),
    }
}

fn beside_check(answer: &Answer) -> Check {
    let expected = "another path of the host does not answer as the MCP server";
    let check = Check::pass("beside", expected, describe(answer));
    if is_result(answer) {
        return check.fails(
            "whatever guards the endpoint's path alone is gone round by another path",
            "route only the endpoint's path to the server, and let its guard stand before every path",
        );
    }
    check
}

/// A token that was accepted, and says that it is for others.
fn audience(transcript: &Transcript, token: &str) -> Option<Check> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let found = of_resource(transcript);
    let resource = found.as_ref().and_then(|one| one.text("resource"));
    let resource = resource.unwrap_or(transcript.url.as_str());
    let same = |value: &Value| {
        let value = value.as_str().unwrap_or_default();
        value.trim_end_matches('/') == resource.trim_end_matches('/')
    };
    let is_for_it = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(same),
        Some(one) => same(one),
        None => false,
    };
    let expected = "the token's aud names the resource";
    let text = if is_for_it {
        "aud names it"
    } else {
        "aud does not name it, and the token was accepted"
    };
    let check = Check::pass("audience", expected, text.to_owned());
    Some(if is_for_it {
        check
    } else {
        check.notes(
            "a token for another server of the same issuer may open this one (RFC 8707, MCP)",
            "verify aud; where the issuer cannot put the resource there, list its audience by hand",
        )
    })
}

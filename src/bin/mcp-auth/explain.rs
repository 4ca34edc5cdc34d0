//! `mcp-auth explain`: what the filter would answer to a request, and why.
//!
//! The decision is the filter's ([`gate::route`], [`gate::decide`]); the rows show it claim by
//! claim, those behind the first that fails among them. No byte of the token is written.

mod request;
mod rows;

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueHint;
use mcp_auth_filter::config::Config;
use mcp_auth_filter::gate::reply::Reply;
use mcp_auth_filter::gate::{self, Body, Decision, Edits, Refusal};
use mcp_auth_filter::ids::IssuerId;
use mcp_auth_filter::introspection::{self, AskError, EndpointSource, Introspection};
use mcp_auth_filter::jose::jwk::KeySet;
use mcp_auth_filter::jose::signature::Portable;
use mcp_auth_filter::keys::KeySource;
use mcp_auth_filter::keys::{FetchOutcome, Keys, MAX_RESPONSE_BYTES};
use mcp_auth_filter::reason::Reason;
use mcp_auth_filter::resource::Route;
use mcp_auth_filter::time::UnixNanos;
use mcp_auth_filter::token::UnverifiedToken;
use mcp_auth_filter::trust::{Awaited, Trust};

use crate::{Failure, Outcome, now, read_file, read_stdin, show};
use request::Request;
use rows::Rows;

/// 9999-12-31T23:59:59Z, the last second of RFC 3339.
const LAST_SECOND: u64 = 253_402_300_799;

/// Explain what the filter would answer to a request, and why
#[derive(clap::Args)]
#[command(after_help = "\
The token is read from standard input, and never printed; no input stands for
none. Exit code: 0 if the request goes on, 1 if it is refused, 2 if the command
is wrong or a file is invalid.

Example:
  mcp-auth explain --config config.json --url https://a.example/mcp < token")]
#[command(after_long_help = "\
The token is read from standard input, with or without `Bearer `, and is never printed; no input
stands for a request without a token. The path is taken as it reaches the filter: Envoy may have
normalised it before. Nothing is sent anywhere: give the key set of the token's issuer with --jwks,
or the rest is judged as if the signature were good, and the answer says so.

Exit code: 0 if the request is forwarded or answered without a refusal, 1 if it is refused, 2 if the
command is wrong or a file is invalid.

Examples:
  mcp-auth explain --config config.json --url https://mcp.example.com/mcp < token
  curl -s https://auth.example.com/jwks > jwks.json
  mcp-auth explain --config config.json --url https://mcp.example.com/mcp --jwks jwks.json < token
  mcp-auth explain --config config.json --url https://mcp.example.com/mcp --method OPTIONS \\
    --header 'origin: https://app.example.com' \\
    --header 'access-control-request-method: POST' < /dev/null")]
pub(crate) struct Args {
    /// The configuration, a JSON file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: PathBuf,
    /// The URL of the request
    #[arg(long, value_hint = ValueHint::Url)]
    url: String,
    /// The method of the request
    #[arg(long, default_value = "POST")]
    method: String,
    /// A header of the request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body of the request, for `operations`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    body: Option<PathBuf>,
    /// The JWK set of the token's issuer
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    jwks: Option<PathBuf>,
    /// The issuer's answer about the token (RFC 7662)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    introspection: Option<PathBuf>,
    /// The issuer of --jwks
    ///
    /// Its rules are shown for a token of no accepted issuer.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    // Not a number, and with a place for what stands astray, because clap repeats what it refuses,
    // and that may be a token.
    /// When, in seconds since 1970 [default: now]
    #[arg(long, value_name = "SECONDS")]
    at: Option<String>,
    #[arg(hide = true, value_hint = ValueHint::Other)]
    stray: Vec<std::ffi::OsString>,
}

/// A request and all that its decision depends on.
struct Explanation<'a> {
    config: &'a Config,
    request: &'a Request,
    route: Route,
    body: Option<Vec<u8>>,
    /// What the issuer says of the token.
    answer: Option<Vec<u8>>,
    now: UnixNanos,
    /// The file that the keys are from, for a configuration that fetches them.
    keys_from: Option<&'a Path>,
    /// Whose rules a token is shown by if its own issuer is not accepted.
    issuer: Option<IssuerId>,
}

/// A decision, and what it rests on.
struct Judged {
    decision: Decision,
    /// For want of keys, as if the signature were good.
    unverified: bool,
    /// Why the issuer's answer is none.
    flaw: Option<AskError>,
}

/// Decides and explains.
pub(crate) fn run(args: Args) -> Result<Outcome, Failure> {
    if !args.stray.is_empty() {
        return Err(Failure::Usage(
            "explain has options only; the token is read from standard input".to_owned(),
        ));
    }
    if args.config == Path::new("-") {
        return Err(Failure::Usage(
            "--config: standard input is for the token; give a file".to_owned(),
        ));
    }
    let mut config = Config::parse(&read_file(&args.config)?)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut request =
        Request::new(&args.url, &args.method, &args.headers).map_err(Failure::Usage)?;
    request.set_token(&read_stdin()?);
    let at = match &args.at {
        None => now(),
        Some(text) => time(text)?,
    };
    let issuer = match &args.issuer {
        None => None,
        Some(name) => Some(issuer(&config, name).ok_or_else(|| {
            let allowed = "an `issuer` of the configuration, byte for byte";
            Failure::Usage(format!("--issuer: allowed: {allowed}"))
        })?),
    };

    let mut out = String::new();
    let mut keys_from = None;
    if let Some(path) = &args.jwks {
        let bytes = read_file(path)?;
        let of = issuer.or_else(|| {
            let token = UnverifiedToken::parse(request.token()?, config.limits.token_bytes).ok()?;
            self::issuer(&config, token.unverified_issuer())
        });
        out.push_str(&use_keys(&mut config, of, path, &bytes)?);
        keys_from = of.map(|_| path.as_path());
    }
    ask_nowhere(&mut config);
    let explanation = Explanation {
        route: request.route(&config),
        config: &config,
        request: &request,
        body: args.body.as_deref().map(read_file).transpose()?,
        answer: args.introspection.as_deref().map(read_file).transpose()?,
        now: at,
        keys_from,
        issuer,
    };
    let refused = explanation
        .write(&mut out)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Outcome {
        text: out,
        yes: !refused,
    })
}

fn time(text: &str) -> Result<UnixNanos, Failure> {
    match text.parse() {
        Ok(seconds @ 0..=LAST_SECOND) => Ok(UnixNanos::from_secs(seconds)),
        Ok(_) | Err(_) => Err(Failure::Usage(format!(
            "--at: allowed: seconds since 1970, 0 to {LAST_SECOND}"
        ))),
    }
}

fn issuer(config: &Config, name: &str) -> Option<IssuerId> {
    config
        .issuers
        .iter()
        .position(|issuer| issuer.policy.issuer == name)
        .map(IssuerId)
}

/// Gives a key set to an issuer, in place of what the configuration says of its keys.
fn use_keys(
    config: &mut Config,
    issuer: Option<IssuerId>,
    path: &Path,
    bytes: &[u8],
) -> Result<String, Failure> {
    let failure = |problem: String| Failure::Usage(format!("--jwks {}: {problem}", path.display()));
    if bytes.len() > MAX_RESPONSE_BYTES {
        return Err(failure(format!("longer than {MAX_RESPONSE_BYTES} bytes")));
    }
    let (keys, skipped) =
        KeySet::parse(bytes).map_err(|error| failure(format!("not a JWK set: {error}")))?;
    if keys.is_empty() {
        return Err(failure("no key that can verify a signature".to_owned()));
    }
    let mut notes = String::new();
    for key in skipped {
        let note = format!("{}: {key}", path.display());
        notes.push_str(&format!("Note: {}\n", show::line(&note)));
    }
    match issuer.and_then(|id| config.issuers.get_mut(id.0)) {
        Some(issuer) => issuer.keys = KeySource::Inline(keys),
        None => notes.push_str(
            "Note: the key set is not used: no issuer of the configuration can be told from the token.\n",
        ),
    }
    Ok(notes)
}

/// Makes issuers be asked at a place that is known, for no metadata can be fetched here.
fn ask_nowhere(config: &mut Config) {
    for issuer in &mut config.issuers {
        if let Some(source) = &mut issuer.introspection {
            source.endpoint = EndpointSource::Configured(source.issuer.clone());
        }
    }
}

/// Lets the issuer that is asked have said this; what is wrong with it, if it is no answer.
fn answer_question(
    introspection: &mut Introspection,
    answer: &[u8],
    now: UnixNanos,
) -> Option<AskError> {
    let mut flaw = None;
    introspection.handle_tick(now);
    while let Some(command) = introspection.next_command() {
        match command {
            introspection::Command::Call(call) => {
                let outcome = FetchOutcome::Response {
                    status: 200,
                    cache_control: Vec::new(),
                    body: answer.to_vec(),
                };
                introspection.handle_response(call.id, outcome, now);
            }
            introspection::Command::Report(_, introspection::Event::Failed { error, .. }) => {
                flaw = Some(error);
            }
            introspection::Command::Report(..)
            | introspection::Command::Wake(..)
            | introspection::Command::ReadShared { .. }
            | introspection::Command::WriteShared { .. } => {}
        }
    }
    flaw
}

impl Explanation<'_> {
    /// Writes everything; whether the request is refused.
    fn write(&self, out: &mut String) -> Result<bool, fmt::Error> {
        let keys = Keys::new(self.config.key_sources(), self.now, 0);
        let mut trust = Trust::new(self.config, keys, Box::new(Portable), [1, 2]);
        let Judged {
            decision,
            unverified,
            flaw,
        } = self.judge(&mut trust);
        writeln!(out, "Request   {}", self.request)?;
        writeln!(out, "At        {}", show::time(self.now))?;
        self.write_route(out)?;
        if matches!(self.route, Route::Protected(..)) && !matches!(decision, Decision::Answer(_)) {
            let rows = Rows::of(self, &mut trust.keys);
            writeln!(out, "\n{rows}")?;
        } else {
            writeln!(out)?;
        }
        if unverified {
            writeln!(
                out,
                "The signature was NOT CHECKED, for want of keys (--jwks): this holds only if it is good."
            )?;
        }
        if let Some(flaw) = flaw {
            writeln!(out, "Note: --introspection: {flaw}.")?;
        }
        self.write_decision(&decision, out)?;
        Ok(matches!(decision, Decision::Refuse(..)))
    }

    /// Has the gate decide, with what was given in place of what the filter would wait for.
    fn judge(&self, trust: &mut Trust) -> Judged {
        let (config, route, now) = (self.config, &self.route, self.now);
        let head = &self.request.head().clone().ending(self.body.is_none());
        let mut decision = gate::decide(config, route, head, trust, now, now);
        let mut flaw = None;
        if let (Decision::Wait(Awaited::Answer(..)), Some(answer)) = (&decision, &self.answer) {
            flaw = answer_question(&mut trust.introspection, answer, now);
            decision = gate::decide(config, route, head, trust, now, now);
        }
        let unverified = matches!(decision, Decision::Wait(Awaited::Keys(_)));
        if unverified {
            decision = gate::decide_unverified(config, route, head, now);
        }
        if let (Decision::ReadBody(pending), Some(body)) = (&decision, &self.body) {
            let body = if body.len() > config.limits.body_bytes {
                Body::TooLarge
            } else {
                Body::Whole(body)
            };
            decision = gate::decide_operation(config, route, head, pending.clone(), body, now);
        }
        Judged {
            decision,
            unverified,
            flaw,
        }
    }

    fn write_route(&self, out: &mut String) -> fmt::Result {
        let label = |id| {
            self.config
                .resource(id)
                .map_or_else(String::new, |resource| show::line(&resource.label))
        };
        match &self.route {
            Route::Foreign if !self.config.enabled => {
                writeln!(out, "Resource  none: `enabled` is false")
            }
            Route::Foreign => writeln!(
                out,
                "Resource  none: the path (or host) belongs to no resource"
            ),
            Route::Metadata(id, _) => {
                writeln!(out, "Resource  the metadata document of {}", label(*id))
            }
            Route::Mirror(id, _) => writeln!(
                out,
                "Resource  the authorization server's metadata on the host of {}",
                label(*id)
            ),
            Route::Protected(id, _) => writeln!(out, "Resource  {}", label(*id)),
            Route::Unclear(id, reason) => writeln!(
                out,
                "Resource  perhaps {}: {}",
                label(*id),
                reason.answer().description
            ),
        }
    }

    /// The decision in a sentence, and what it changes or answers.
    fn write_decision(&self, decision: &Decision, out: &mut String) -> fmt::Result {
        writeln!(out, "{}", self.sentence(decision))?;
        if let Decision::Refuse(refusal, _) | Decision::Observe(refusal, _) = decision {
            self.write_evidence(refusal, out)?;
        }
        match decision {
            Decision::Preflight(edits)
            | Decision::Unanswered(edits)
            | Decision::Allow(edits)
            | Decision::Observe(_, edits) => write_edits(edits, out),
            Decision::Answer(reply) | Decision::Refuse(_, reply) => write_reply(reply, out),
            Decision::Pass | Decision::Off | Decision::ReadBody(_) | Decision::Wait(_) => Ok(()),
        }
    }

    fn sentence(&self, decision: &Decision) -> String {
        let name = |id: &IssuerId| {
            let issuer = self.config.issuer(*id);
            let name = issuer.map(|issuer| issuer.policy.issuer.as_str());
            show::line(name.unwrap_or("the issuer"))
        };
        match decision {
            Decision::Pass => {
                "Passed: forwarded untouched, without a look at any token.".to_owned()
            }
            Decision::Off => {
                "Passed: forwarded untouched, for `enabled` is false; nothing is judged.".to_owned()
            }
            Decision::Preflight(_) => {
                "Forwarded: a CORS preflight, for the server to answer; `cors` is false.".to_owned()
            }
            Decision::Unanswered(_) => {
                "Forwarded, for `mode` is observe; else answered by the filter.".to_owned()
            }
            Decision::Answer(_) => "Answered by the filter; no token is needed.".to_owned(),
            Decision::Allow(_) => "Allowed: forwarded with these changes.".to_owned(),
            Decision::Refuse(refusal, _) => format!("Refused: {}.", self.refusal(refusal)),
            Decision::Observe(refusal, _) => format!(
                "Forwarded, for `mode` is observe; else refused: {}.",
                self.refusal(refusal)
            ),
            Decision::ReadBody(_) => {
                "The token is good. Whether it is enough depends on the body: give it with --body."
                    .to_owned()
            }
            Decision::Wait(Awaited::Answer(id, _)) => format!(
                "Held until {} has answered the question about its token (give a saved answer with --introspection).",
                name(id)
            ),
            Decision::Wait(Awaited::Keys(id)) => {
                format!("Held until the keys of {} come.", name(id))
            }
        }
    }

    /// The same as in the filter's log.
    fn write_evidence(&self, refusal: &Refusal, out: &mut String) -> fmt::Result {
        let issuer = refusal.issuer.and_then(|id| self.config.issuer(id));
        let issuer = issuer.map_or("-", |issuer| &issuer.policy.issuer);
        let evidence = refusal.evidence();
        writeln!(
            out,
            "Logged:  {}",
            show::line(&format!("issuer={issuer} {evidence}"))
        )
    }

    fn refusal(&self, refusal: &Refusal) -> String {
        let reason = refusal.reason;
        let mut text = format!("{}: {}", reason.label(), reason.answer().description);
        if let Some(hint) = self.hint(refusal) {
            text.push_str(". ");
            text.push_str(hint);
        }
        text
    }

    /// A guess from the values at what was meant.
    fn hint(&self, refusal: &Refusal) -> Option<&'static str> {
        let token =
            UnverifiedToken::parse(self.request.token()?, self.config.limits.token_bytes).ok()?;
        let Route::Protected(id, bindings) = &self.route else {
            return None;
        };
        let but_for_slash =
            |one: &str, other: &str| one.trim_end_matches('/') == other.trim_end_matches('/');
        if refusal.reason == Reason::IssuerNotAllowed {
            let found = token.unverified_issuer();
            let mut issuers = self.config.issuers.iter();
            return if issuer(self.config, found).is_some() {
                Some("The configuration has this issuer, but not for this resource")
            } else if issuers.any(|issuer| but_for_slash(&issuer.policy.issuer, found)) {
                Some("The two differ in a final slash only: write `issuer` as the tokens have it")
            } else {
                None
            };
        }
        if refusal.reason == Reason::AudienceNotAllowed {
            let expected = self.config.resource(*id)?.identifier.render(bindings);
            return token
                .unverified_audiences()
                .any(|found| but_for_slash(found, &expected))
                .then_some("The two differ in a final slash only: write `resource` as clients ask for it, or name the other spelling in `audiences`");
        }
        (refusal.reason == Reason::KeyUnknown && self.keys_from.is_some()).then_some(
            "With keys of an issuer that has rotated them, fetch the set anew: the filter asks once more by itself",
        )
    }
}

fn write_reply(reply: &Reply, out: &mut String) -> fmt::Result {
    writeln!(out, "\n  HTTP status {}", reply.status)?;
    for (name, value) in &reply.headers {
        writeln!(out, "  {name}: {}", show::line(value))?;
    }
    if !reply.body.is_empty() {
        writeln!(out, "\n  {}", show::line(&reply.body))?;
    }
    Ok(())
}

fn write_edits(edits: &Edits, out: &mut String) -> fmt::Result {
    if edits.remove.is_empty() && edits.headers().next().is_none() {
        return writeln!(out, "\n  none");
    }
    writeln!(out)?;
    for name in &edits.remove {
        writeln!(out, "  remove  {}", show::line(name))?;
    }
    for (name, value) in edits.headers() {
        writeln!(out, "  set     {name}: {}", show::line(value))?;
    }
    Ok(())
}

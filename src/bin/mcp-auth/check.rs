//! `mcp-auth check`: whether a configuration is valid, what it protects, and what is unwise in it.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueHint;
use mcp_auth_filter::config::{Config, Issuer, Mode};
use mcp_auth_filter::introspection::{EndpointSource, IntrospectionSource, Tokens};
use mcp_auth_filter::keys::discovery::WellKnown;
use mcp_auth_filter::keys::{KeySource, RemoteKeys};
use mcp_auth_filter::mcp::Needs;
use mcp_auth_filter::resource::host::Hosts;
use mcp_auth_filter::resource::{Resource, WELL_KNOWN};
use mcp_auth_filter::template::Template;
use mcp_auth_filter::token::TokenType;

use crate::issue::is_for_testing;
use crate::{Failure, Outcome, read_file, read_stdin, show};

/// A clock that is off by more than this is broken: NTP keeps clocks within a second.
const LONG_SKEW: Duration = Duration::from_secs(120);
/// An outage for which revoked keys should not be trusted any longer.
const LONG_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Check a configuration: what it protects, and what is unwise in it
#[derive(clap::Args)]
#[command(after_help = "\
Exit code: 0 if the configuration is valid, 1 if not (one line on standard error
names the field, what was found and what is allowed), 2 if it cannot be read.

Examples:
  mcp-auth check config.json
  jq .plugin config.json | mcp-auth check -")]
pub(crate) struct Args {
    /// The configuration, a JSON file; `-` for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    config: PathBuf,
}

/// Checks and describes.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let json = if args.config == Path::new("-") {
        read_stdin()?
    } else {
        read_file(&args.config)?
    };
    let config = Config::parse(&json).map_err(|error| Failure::Invalid(error.to_string()))?;
    let mut text = String::new();
    describe(&config, &mut text).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(Outcome { text, yes: true })
}

fn describe(config: &Config, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "The configuration is valid: {}, {}; {}.",
        show::counted(config.resources.len(), "resource"),
        show::counted(config.issuers.len(), "issuer"),
        match (config.enabled, config.mode) {
            (false, _) => "disabled: every request passes",
            (true, Mode::Enforce) => "mode enforce",
            (true, Mode::Observe) => "mode observe: refusals are counted and logged only",
        }
    )?;
    for resource in config.resources.iter() {
        describe_resource(config, resource, out)?;
    }
    for issuer in &config.issuers {
        describe_issuer(issuer, out)?;
    }
    writeln!(out, "\nOpen")?;
    row(out, "without a token", &open(config))?;
    describe_limits(config, out)?;
    let warnings = warnings(config);
    if warnings.is_empty() {
        return writeln!(
            out,
            "\nNothing in it is unwise, as far as can be told from here."
        );
    }
    writeln!(out, "\nWarnings")?;
    warnings
        .iter()
        .try_for_each(|warning| writeln!(out, "  - {}", show::line(warning)))
}

/// The requests that the filter forwards without a token.
fn open(config: &Config) -> String {
    if !config.enabled || config.mode == Mode::Observe {
        return "everything is forwarded".to_owned();
    }
    let is_whole = |resource: &Resource| resource.pattern.to_string() == "/";
    let protects_all = |resource: &Resource| is_whole(resource) && resource.hosts == Hosts::Any;
    if config.resources.iter().any(protects_all) {
        return "no path is forwarded".to_owned();
    }
    let protected: Vec<String> = config
        .resources
        .iter()
        .map(|resource| match &resource.hosts {
            Hosts::Any => resource.pattern.to_string(),
            _ => format!("{} (on its hosts)", resource.pattern),
        })
        .collect();
    format!(
        "everything but {} on this host is forwarded, marked `pass`; many MCP servers answer on every path: lead no other path to one, and let its interlock take no `pass`, or protect the whole host by \"path\": \"/\"",
        protected.join(", ")
    )
}

fn row(out: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(out, "  {name:<18}{}", show::line(value))
}

fn describe_limits(config: &Config, out: &mut String) -> fmt::Result {
    writeln!(out, "\nLimits")?;
    row(
        out,
        "tokens",
        &format!("at most {} bytes", config.limits.token_bytes),
    )?;
    row(
        out,
        "waiting",
        &format!(
            "at most {} requests per worker wait for keys",
            config.limits.held_requests
        ),
    )?;
    if config
        .resources
        .iter()
        .any(|resource| !resource.operations.is_empty())
    {
        let limit = config.limits.body_bytes;
        row(
            out,
            "bodies",
            &format!("at most {limit} bytes, where operations depend on them"),
        )?;
    }
    Ok(())
}

fn describe_resource(config: &Config, resource: &Resource, out: &mut String) -> fmt::Result {
    writeln!(out, "\nResource {}", show::line(&resource.label))?;
    row(
        out,
        "paths",
        &match resource.pattern.to_string().as_str() {
            "/" => "every path".to_owned(),
            pattern => format!("{pattern}, and all below it"),
        },
    )?;
    row(
        out,
        "hosts",
        &match &resource.hosts {
            Hosts::Any => "every host".to_owned(),
            Hosts::Only(hosts) => show::joined(hosts.iter().map(ToString::to_string), "and"),
        },
    )?;
    row(out, "metadata", &resource.metadata.url.to_string())?;
    if config.resources.len() == 1 && !resource.identifier.has_variables() {
        row(out, "", &format!("also at {WELL_KNOWN} of its hosts"))?;
    }
    describe_requirements(config, resource, out)?;
    describe_browsers(resource, out)?;
    describe_forwarded(resource, out)
}

/// The tokens, scopes and claims that a request needs.
fn describe_requirements(config: &Config, resource: &Resource, out: &mut String) -> fmt::Result {
    for (at, issuer) in issuers(config, resource).enumerate() {
        let name = if at == 0 { "tokens from" } else { "" };
        let audiences = match &issuer.audiences {
            None => format!("\"{}\"", resource.identifier),
            Some(audiences) => show::list(audiences, "or"),
        };
        row(
            out,
            name,
            &format!("{} for the audience {audiences}", issuer.policy.issuer),
        )?;
    }
    row(
        out,
        "scopes",
        &if resource.scopes.is_empty() {
            "none needed".to_owned()
        } else {
            format!("{} on every request", resource.scopes.join(" "))
        },
    )?;
    for rule in &resource.operations {
        let name = rule.name.as_ref().map(|name| format!(" {name}"));
        let needs = match &rule.needs {
            Needs::Scopes(scopes) => format!("needs {} besides", scopes.join(" ")),
            Needs::Nothing => "is denied to everybody".to_owned(),
        };
        let mut what = rule.method.to_string() + &name.unwrap_or_default();
        if !rule.except.is_empty() {
            let except = rule.except.iter().map(ToString::to_string);
            what = format!("{what} but {}", show::joined(except, "and"));
        }
        row(out, "operation", &format!("{what} {needs}"))?;
    }
    for (narrower, broader) in resource.scope_hierarchy.implied() {
        let broader = show::joined(broader.iter().cloned(), "or");
        row(out, "", &format!("{narrower} is implied by {broader}"))?;
    }
    for rule in &resource.require_claims {
        let values = rule.values.iter().map(ToString::to_string);
        row(
            out,
            "claim",
            &format!("{} must have {}", rule.claim, show::list(values, "or")),
        )?;
    }
    Ok(())
}

fn describe_browsers(resource: &Resource, out: &mut String) -> fmt::Result {
    row(
        out,
        "browsers",
        &match &resource.allowed_origins {
            None => "any Origin".to_owned(),
            Some(origins) => format!("Origin must be {}", show::joined(origins.clone(), "or")),
        },
    )?;
    let cors = if resource.cors {
        "answered by the filter"
    } else {
        "left to the server"
    };
    row(out, "CORS", cors)
}

/// The headers that the server gets.
fn describe_forwarded(resource: &Resource, out: &mut String) -> fmt::Result {
    for (at, header) in resource.identity_headers.iter().enumerate() {
        let name = if at == 0 { "the server gets" } else { "" };
        row(
            out,
            name,
            &format!("{}: claim {}", header.name, header.claim),
        )?;
    }
    let token = if resource.forward_token {
        "authorization: the token itself"
    } else {
        "authorization is removed"
    };
    let name = if resource.identity_headers.is_empty() {
        "the server gets"
    } else {
        ""
    };
    row(out, name, token)
}

fn describe_issuer(issuer: &Issuer, out: &mut String) -> fmt::Result {
    let policy = &issuer.policy;
    writeln!(out, "\nIssuer {}", show::line(&policy.issuer))?;
    match &issuer.keys {
        KeySource::Inline(keys) => {
            row(out, "keys", "inline; they never change")?;
            for key in keys.keys() {
                let kid = key
                    .kid()
                    .map_or_else(|| "no kid".to_owned(), |kid| format!("kid {kid:?}"));
                let algorithms = key.algorithms().map(|alg| alg.name().to_owned());
                row(
                    out,
                    "",
                    &format!("{kid}, for {}", show::joined(algorithms, "and")),
                )?;
            }
        }
        KeySource::Remote(remote) => describe_keys(remote, out)?,
    }
    if let Some(source) = &issuer.introspection {
        describe_introspection(source, out)?;
    }
    if issuer.mirrors_metadata {
        row(out, "metadata", "also served on the hosts of its resources")?;
    }
    row(
        out,
        "algorithms",
        &show::joined(
            policy.algorithms.iter().map(|alg| alg.name().to_owned()),
            "or",
        ),
    )?;
    row(out, "typ", &show::token_types(&policy.token_types))?;
    row(
        out,
        "clock skew",
        &format!("{} in both directions", show::duration(policy.clock_skew)),
    )?;
    let lifetime = policy.max_token_lifetime.map_or_else(
        || "not bounded".to_owned(),
        |max| format!("at most {}; iat is required", show::duration(max)),
    );
    row(out, "lifetime", &lifetime)
}

fn describe_introspection(source: &IntrospectionSource, out: &mut String) -> fmt::Result {
    let tokens = match source.tokens {
        Tokens::Opaque => "opaque tokens",
        Tokens::All => "all tokens; JWTs are verified besides",
    };
    row(out, "asked about", tokens)?;
    let place = match &source.endpoint {
        EndpointSource::Configured(url) => show::line(url.as_str()),
        EndpointSource::Discovered { cluster } => {
            format!("the introspection_endpoint found through cluster {cluster:?}")
        }
    };
    row(
        out,
        "",
        &format!("POST {place} through cluster {:?}", source.cluster),
    )?;
    let audience = if source.require_audience {
        "without aud it is refused"
    } else {
        "it need not have aud"
    };
    let holds = show::duration(source.cache);
    row(
        out,
        "an answer",
        &format!("holds for {holds} at most; {audience}"),
    )
}

fn describe_keys(remote: &RemoteKeys, out: &mut String) -> fmt::Result {
    let (cluster, jwks_cluster) = (&remote.cluster, &remote.jwks_cluster);
    match &remote.jwks_uri {
        Some(uri) => row(
            out,
            "keys",
            &format!("GET {} through cluster {jwks_cluster:?}", uri.as_str()),
        )?,
        None => {
            row(
                out,
                "keys",
                "discovered; asked in this order until one answers for this issuer:",
            )?;
            let mut place = Some(WellKnown::FIRST);
            while let Some(at) = place {
                if let Ok(url) = at.url(&remote.issuer) {
                    let url = url.as_str();
                    row(out, "", &format!("GET {url} through cluster {cluster:?}"))?;
                }
                place = at.next(&remote.issuer);
            }
            row(
                out,
                "",
                &format!("then GET the jwks_uri found there through cluster {jwks_cluster:?}"),
            )?;
        }
    }
    let timings = &remote.timings;
    for (name, text) in [
        (
            "refreshed",
            format!(
                "every {}; for an unknown kid at most every {}",
                show::duration(timings.refresh),
                show::duration(timings.unknown_key_cooldown)
            ),
        ),
        (
            "timeout",
            format!(
                "{}, for a fetch and for a request that waits",
                show::duration(timings.timeout)
            ),
        ),
        (
            "outage",
            format!(
                "the last keys are used for {} after they were due; a withdrawn key at most {} in all",
                show::duration(timings.max_stale),
                show::duration(timings.refresh.saturating_add(timings.max_stale))
            ),
        ),
    ] {
        row(out, name, &text)?;
    }
    Ok(())
}

fn issuers<'a>(config: &'a Config, resource: &Resource) -> impl Iterator<Item = &'a Issuer> {
    resource.issuers.iter().filter_map(|id| config.issuer(*id))
}

/// Warnings of settings that are legal but unwise.
fn warnings(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    if !config.enabled {
        found.push("enabled is false: nothing is protected, and no metadata is served".to_owned());
    }
    if config.mode == Mode::Observe {
        found.push("mode is observe: nothing is protected, refusals are counted and logged only, and CORS preflights reach the server".to_owned());
    }
    found.extend(config.warnings.iter().cloned());
    for (at, issuer) in config.issuers.iter().enumerate() {
        warn_of_issuer(config, at, issuer, &mut found);
    }
    for (at, resource) in config.resources.iter().enumerate() {
        warn_of_resource(config, &format!("resources[{at}]"), resource, &mut found);
    }
    found
}

fn warn_of_issuer(config: &Config, at: usize, issuer: &Issuer, found: &mut Vec<String>) {
    let field = format!("issuers[{at}]");
    let policy = &issuer.policy;
    let mut warn = |text: String| found.push(format!("{field}{text}"));
    let users = config
        .resources
        .iter()
        .filter(|resource| resource.issuers.iter().any(|id| id.0 == at))
        .count();
    if users == 0 {
        warn(": no resource accepts its tokens".to_owned());
    }
    if issuer.audiences.is_some() {
        if users > 1 {
            warn(format!(
                ".audiences: {users} resources share them, so a token for one of these resources is good for all (RFC 8707 §2 asks for one audience each)"
            ));
        }
        let takes_id_tokens = policy.token_types.iter().any(|accepted| match accepted {
            TokenType::Absent => true,
            TokenType::Named(name) => name.eq_ignore_ascii_case("JWT"),
        });
        if takes_id_tokens {
            warn(".audiences: if the issuer is an OpenID provider and one of these is a client_id, its ID tokens pass for access tokens; where its access tokens have typ at+jwt, set token_types to [\"at+jwt\"] (RFC 9068 §4)".to_owned());
        }
    }
    if policy.clock_skew > LONG_SKEW {
        warn(format!(
            ".clock_skew_seconds: tokens are accepted for {} after they have expired",
            show::duration(policy.clock_skew)
        ));
    }
    match &issuer.keys {
        KeySource::Inline(keys) => {
            warn(
                ".jwks: the issuer cannot rotate its keys, or withdraw one, without a change here"
                    .to_owned(),
            );
            let kids = keys.keys().iter().filter_map(|key| key.kid());
            for kid in kids.filter(|kid| is_for_testing(kid)) {
                warn(format!(
                    ".jwks: the key {kid} is for testing (`mcp-auth issue`): whoever has its file can write any token"
                ));
            }
        }
        KeySource::Remote(remote) => {
            let timings = &remote.timings;
            if timings.max_stale.is_zero() {
                warn(".keys.max_stale_seconds: 0 makes every outage of the key server one of this resource (503) as soon as the keys are due".to_owned());
            } else if timings.max_stale > LONG_STALE {
                warn(format!(
                    ".keys.max_stale_seconds: a withdrawn key is trusted for {} in an outage",
                    show::duration(timings.max_stale)
                ));
            }
        }
    }
}

fn warn_of_resource(config: &Config, field: &str, resource: &Resource, found: &mut Vec<String>) {
    let mut warn = |text: &str| found.push(format!("{field}{text}"));
    if resource.pattern.to_string() == "/" {
        warn(
            ": the path / protects everything behind this listener, health checks and every /.well-known document but its own among it",
        );
    }
    if resource.hosts != Hosts::Any {
        warn(
            ".hosts: requests for any other host pass without a token, unless another resource has them; let the route match these hosts only",
        );
    }
    if resource.forward_token {
        warn(
            ".forward_token: the server gets tokens that are good for this resource; it must not pass them on (MCP, token passthrough), and its logs may keep them",
        );
    }
    if resource.identity_headers.is_empty() && !resource.forward_token {
        warn(".identity_headers: the server is not told who the client is");
    }
    let binds_variables = resource
        .require_claims
        .iter()
        .any(|rule| rule.values.iter().all(Template::has_variables));
    let shares_audience = issuers(config, resource).any(|issuer| issuer.audiences.is_some());
    if resource.pattern.variables().next().is_some() && shares_audience && !binds_variables {
        warn(
            ": `audiences` does not tell tenants apart, and no require_claims binds the path's variables: a token of one tenant is good for all",
        );
    }
    if resource.allowed_origins.as_ref().is_some_and(Vec::is_empty) {
        warn(".allowed_origins: the empty list refuses every browser");
    }
}

//! `mcp-auth issue`: keys and tokens for trying a configuration out, without an authorization server.

mod key;
mod token;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::key::{Algorithm, Key};
use crate::{Failure, Outcome};

pub(crate) use key::is_for_testing;

/// Make keys and tokens for trying a configuration out
#[derive(clap::Args)]
#[command(after_help = "\
For tests alone: whoever has the file of keys can write any token. `mcp-auth
check` warns of such keys in a configuration: their kid begins with
mcp-auth-testing-.

Example:
  mcp-auth issue keys > keys.json
  jq '.issuers[0].jwks = input.jwks | del(.issuers[0].cluster)' \\
    config.json keys.json > testing.json
  mcp-auth issue token --keys keys.json --config testing.json \\
    --resource https://mcp.example.com/mcp")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Print a new key pair
    ///
    /// `private` is for `issue token`, `jwks` for an issuer's `jwks` in the configuration.
    Keys {
        /// es256, rs256 or eddsa
        #[arg(long, value_enum, default_value_t = Algorithm::Es256, hide_possible_values = true)]
        algorithm: Algorithm,
    },
    Token(token::Args),
}

/// What may be wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wrong {
    /// For another resource
    Audience,
    /// By another issuer
    Issuer,
    /// Its time is over
    Expired,
    /// Its time has not come
    NotYetValid,
    /// Without an end
    NoExpiry,
    /// Without scopes
    Scope,
    /// Without the claims that the resource requires
    Claims,
    /// One byte of it is changed
    Signature,
    /// By a key that the issuer does not have
    Key,
    /// Not signed at all
    Unsigned,
    /// Of another type: a logout token
    Type,
}

/// Makes what was asked for.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let text = match &args.what {
        What::Keys { algorithm } => keys(*algorithm)?,
        What::Token(args) => token::issue(args)?,
    };
    Ok(Outcome {
        text: format!("{text}\n"),
        yes: true,
    })
}

fn keys(algorithm: Algorithm) -> Result<String, Failure> {
    let key = Key::generate(algorithm)?;
    let read = |jwk: String| serde_json::from_str::<Value>(&jwk).unwrap_or_default();
    let public = read(key.public_jwk());
    let all = json!({
        "for": "testing alone: whoever has this file can write any token",
        "jwks": {"keys": [public]},
        "private": read(key.private_jwk()),
    });
    Ok(format!("{all:#}"))
}

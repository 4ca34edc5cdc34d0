//! `mcp-auth init`: a folder with all that a deployment needs, from three URLs.
//!
//! The templates are the files of `envoy/`, whose values are replaced: what is tried there is what
//! is written here.

mod discover;
mod envoy;
mod kubernetes;
mod values;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{ValueEnum, ValueHint};
use mcp_auth_filter::config::Config;

use self::discover::Keys;
use self::values::Values;
use crate::{Failure, Outcome, show};

/// Write a folder for Envoy, Docker Compose, Istio or Envoy Gateway
#[derive(clap::Args)]
#[command(override_usage = "\
mcp-auth init --target <TARGET> --resource <URL> --issuer <URL>
                     --upstream <HOST:PORT> [OPTIONS] <DIR>")]
#[command(after_help = "\
Exit code: 0 if it was written, 1 if the values make no configuration, else 2.

Example:
  mcp-auth init --target envoy --resource https://mcp.example.com/mcp \\
    --issuer https://auth.example.com --upstream mcp-server:3000 deployment")]
#[command(after_long_help = "\
Nothing is sent anywhere, except with --discover: that asks the issuer for where its keys are.
The folder must not exist yet, or be empty; its README has the next three steps.

Exit code: 0 if the folder was written, 1 if the values make no configuration, 2 otherwise.

Examples:
  mcp-auth init --target envoy --resource https://mcp.example.com/mcp \\
    --issuer https://auth.example.com --upstream mcp-server:3000 --scope mcp deployment
  mcp-auth init --target istio --resource https://mcp.example.com/mcp --discover \\
    --issuer https://auth.example.com --upstream mcp-server.mcp.svc.cluster.local:3000 deployment")]
pub(crate) struct Args {
    /// envoy, compose, istio or envoy-gateway
    #[arg(long, hide_possible_values = true)]
    target: Target,
    /// The URL that clients are given
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    resource: String,
    /// The authorization server, as its tokens name it
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    issuer: String,
    /// The MCP server: HOST:PORT, or https://HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    upstream: String,
    /// A scope that is needed; may be repeated
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// Where the issuer is asked about opaque tokens
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    introspection: Option<String>,
    /// Ask the issuer for where its keys are
    #[arg(long)]
    discover: bool,
    /// The module: for its SHA-256, and a copy
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    module: Option<PathBuf>,
    /// Where a cluster fetches the module
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    module_url: Option<String>,
    /// The folder: new, or empty
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    Envoy,
    Compose,
    Istio,
    EnvoyGateway,
}

/// A file of the folder.
pub(crate) struct File {
    name: &'static str,
    content: Vec<u8>,
    /// For its owner's eyes alone.
    secret: bool,
}

impl File {
    pub(crate) fn new(name: &'static str, content: String) -> Self {
        Self {
            name,
            content: content.into_bytes(),
            secret: false,
        }
    }

    pub(crate) fn secret(name: &'static str, content: String) -> Self {
        Self {
            secret: true,
            ..Self::new(name, content)
        }
    }
}

/// Writes the folder.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut values = Values::new(args)?;
    if args.discover {
        match discover::keys(&values)? {
            Keys::There => {}
            Keys::At(peer) => values.keys = Some(peer),
            Keys::Nowhere => values.has_keys = false,
        }
    }
    let json = values.json(args.target);
    let config =
        Config::parse(json.as_bytes()).map_err(|error| Failure::Invalid(error.to_string()))?;
    let mut files = match args.target {
        Target::Envoy | Target::Compose => envoy::files(args.target, &values)?,
        Target::Istio => kubernetes::istio(&values)?,
        Target::EnvoyGateway => kubernetes::envoy_gateway(&values)?,
    };
    files.push(File::new("config.json", json));
    if let Some(module) = &values.module {
        files.push(File {
            name: "mcp_auth_filter.wasm",
            content: module.bytes.clone(),
            secret: false,
        });
    }
    write(&args.directory, &files)?;
    let mut text = format!("{}:\n", args.directory.display());
    for file in &files {
        text.push_str(&format!("  {}\n", file.name));
    }
    for warning in &config.warnings {
        text.push_str(&format!("Warning: {}\n", show::line(warning)));
    }
    text.push_str("README.md has the next three steps.\n");
    Ok(Outcome { text, yes: true })
}

/// All files, into a folder that has none.
fn write(directory: &Path, files: &[File]) -> Result<(), Failure> {
    let name = directory.display();
    let fail = |error: io::Error| Failure::Usage(format!("cannot write {name}: {error}"));
    fs::create_dir_all(directory).map_err(fail)?;
    if fs::read_dir(directory).map_err(fail)?.next().is_some() {
        return Err(Failure::Usage(format!(
            "{name} is not empty: nothing was written"
        )));
    }
    for file in files {
        let path = directory.join(file.name);
        fs::write(&path, &file.content).map_err(fail)?;
        if file.secret {
            for_its_owner(&path).map_err(fail)?;
        }
    }
    Ok(())
}

/// Takes a file's readers away. What is secret is yet to be written into it.
fn for_its_owner(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let _ = path;
    Ok(())
}

/// A template with each `old` replaced, in one pass: a value is never looked into. All have to be
/// there.
pub(crate) fn filled(template: &str, swaps: &[(&str, String)]) -> Result<String, Failure> {
    for (old, _) in swaps {
        if !template.contains(old) {
            return Err(Failure::Usage(format!(
                "the template lacks {old:?}: report this"
            )));
        }
    }
    let mut text = String::new();
    let mut rest = template;
    loop {
        let found = swaps
            .iter()
            .filter_map(|(old, new)| Some((rest.find(old)?, *old, new)));
        // Of two at one place the longer.
        let first = found.min_by_key(|(at, old, _)| (*at, usize::MAX.saturating_sub(old.len())));
        let Some((at, old, new)) = first else {
            text.push_str(rest);
            return Ok(text);
        };
        text.push_str(rest.get(..at).unwrap_or_default());
        text.push_str(new);
        rest = rest.get(at.saturating_add(old.len())..).unwrap_or_default();
    }
}

/// All from `start` on.
pub(crate) fn from<'a>(text: &'a str, start: &str) -> Result<&'a str, Failure> {
    let found = text.find(start).and_then(|at| text.get(at..));
    found.ok_or_else(|| Failure::Usage(format!("the template lacks {start:?}: report this")))
}

/// What stands from `start` up to `end`.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Result<&'a str, Failure> {
    let lacks = || {
        Failure::Usage(format!(
            "the template lacks {start:?} or {end:?}: report this"
        ))
    };
    let at = text.find(start).ok_or_else(lacks)?;
    let rest = text.get(at..).ok_or_else(lacks)?;
    let length = rest.find(end).ok_or_else(lacks)?;
    rest.get(..length).ok_or_else(lacks)
}

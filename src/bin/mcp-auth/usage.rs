//! The fault of a command line, in one sentence.
//!
//! Not in clap's words: those repeat what was typed, and that may be a token.

use std::env;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Error};

use crate::Cli;

/// The sentence, unless help or the version was asked for.
pub(crate) fn sentence(error: &Error) -> Option<String> {
    let kind = error.kind();
    if !error.use_stderr() || kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let command = command();
    let called = command.as_deref().unwrap_or("mcp-auth");
    let what = if kind == ErrorKind::InvalidSubcommand {
        let meant = suggestion(error, ContextKind::SuggestedSubcommand);
        format!("there is no such command{meant}")
    } else if kind == ErrorKind::UnknownArgument {
        unknown(called, error)
    } else if kind == ErrorKind::MissingRequiredArgument {
        format!("{called} needs {}", arguments(error))
    } else if kind == ErrorKind::InvalidValue {
        match strings(error, ContextKind::ValidValue).as_slice() {
            [] => format!("{} needs a value", arguments(error)),
            allowed => format!("{} is one of {}", arguments(error), allowed.join(", ")),
        }
    } else if kind == ErrorKind::ArgumentConflict {
        format!("{} may be given only once", arguments(error))
    } else {
        "the command line is not understood".to_owned()
    };
    let help = command.map_or_else(
        || "mcp-auth --help".to_owned(),
        |name| format!("mcp-auth {name} --help"),
    );
    Some(format!("{what}; see `{help}`"))
}

/// The command that was called, if it is one of ours.
fn command() -> Option<String> {
    let first = env::args_os().nth(1)?;
    let commands = Cli::command();
    Some(commands.find_subcommand(first)?.get_name().to_owned())
}

/// Names an option that does not exist. Anything else may be a token, and is not repeated.
fn unknown(called: &str, error: &Error) -> String {
    let found = strings(error, ContextKind::InvalidArg);
    let option = found
        .first()
        .and_then(|found| found.split('=').next())
        .filter(|found| found.starts_with("--") && !found.contains('.') && found.len() < 40);
    match option {
        Some(option) => {
            let meant = suggestion(error, ContextKind::SuggestedArg);
            format!("{called} has no option {option}{meant}")
        }
        None => format!("{called} was given something that it does not take"),
    }
}

fn suggestion(error: &Error, kind: ContextKind) -> String {
    // The best comes last.
    match strings(error, kind).last() {
        Some(name) => format!(" (is {name} meant?)"),
        None => String::new(),
    }
}

/// The arguments of ours that an error is about.
fn arguments(error: &Error) -> String {
    match strings(error, ContextKind::InvalidArg).as_slice() {
        [] => "an option".to_owned(),
        arguments => arguments.join(" and "),
    }
}

fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(one)) => vec![one.clone()],
        Some(ContextValue::Strings(many)) => many.clone(),
        _ => Vec::new(),
    }
}

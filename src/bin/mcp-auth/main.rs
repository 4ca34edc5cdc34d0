//! `mcp-auth`: what a configuration protects, what the filter would answer, by the filter's own code,
//! what clients make of a server, and a folder to deploy. Only `probe`, and `init --discover`, send
//! anything anywhere.
//!
//! Help is a screen of 24 lines; what does not fit is in the long form, which `help` and the man pages have.

mod check;
mod explain;
mod init;
mod issue;
mod probe;
mod show;
mod usage;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use mcp_auth_filter::config::Config;
use mcp_auth_filter::time::UnixNanos;

/// Find out why clients cannot log in to an MCP server, and put a login before it
///
/// The tool of the MCP authorization filter for Envoy. Configurations are judged by the filter's own
/// code. Only `probe`, and `init --discover`, send anything anywhere.
#[derive(Parser)]
#[command(name = "mcp-auth", version, disable_help_flag = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit code: 0 for yes, 1 for no, 2 if the command is wrong or a file cannot be
used. `mcp-auth help COMMAND` and the man pages have all of it.

Examples:
  mcp-auth probe https://mcp.example.com/mcp
  mcp-auth check config.json")]
#[command(after_long_help = "\
Exit code: 0 for yes (the configuration is valid, the request is let through, clients can log in), 1
for no, 2 if the command is wrong or a file cannot be read or used. Errors go to standard error, one
sentence each.

Examples:
  mcp-auth probe https://mcp.example.com/mcp
  mcp-auth check config.json
  mcp-auth explain --config config.json --url https://mcp.example.com/mcp < token
  source <(mcp-auth completions bash)")]
struct Cli {
    /// Print this help
    #[arg(short, long, global = true, hide_short_help = true, action = ArgAction::HelpShort)]
    help: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Probe(probe::Args),
    Init(init::Args),
    Check(check::Args),
    Explain(explain::Args),
    Issue(issue::Args),
    /// Print the JSON Schema (draft 2020-12) of the configuration
    #[command(after_help = "\
Example:
  mcp-auth schema > config.schema.json")]
    Schema,
    /// Print a script that completes commands, options and files
    #[command(after_help = "\
Examples:
  source <(mcp-auth completions bash)      # this shell; in ~/.bashrc for all
  mcp-auth completions zsh > \"${fpath[1]}/_mcp-auth\"
  mcp-auth completions fish > ~/.config/fish/completions/mcp-auth.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages into a folder
    #[command(after_help = "\
Example:
  mcp-auth man ~/.local/share/man/man1 && man mcp-auth-probe")]
    Man {
        /// The folder, which exists
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// The longest input of any kind, in bytes: 4 MiB.
const MAX_INPUT_BYTES: u64 = 4 * 1024 * 1024;

/// The output of a command, and its answer: yes or no.
struct Outcome {
    text: String,
    yes: bool,
}

impl Outcome {
    /// Lines of which a terminal shows every character, wherever a value in them came from.
    fn printable(self) -> Self {
        let lines: Vec<String> = self.text.split('\n').map(show::line).collect();
        Self {
            text: lines.join("\n"),
            ..self
        }
    }
}

/// Why a command has no answer.
enum Failure {
    /// It was called wrongly, or what it needs cannot be read: exit code 2.
    Usage(String),
    /// The configuration is invalid: exit code 1.
    Invalid(String),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_run(&error),
    };
    let (outcome, code) = match run(cli.command) {
        Ok(outcome) => {
            let code = if outcome.yes { 0 } else { 1 };
            (io::stdout().write_all(outcome.text.as_bytes()), code)
        }
        Err(Failure::Invalid(message)) => (complain(&message), 1),
        Err(Failure::Usage(message)) => (complain(&message), 2),
    };
    match outcome {
        // A reader such as `head` may have had enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(2),
        Ok(()) | Err(_) => ExitCode::from(code),
    }
}

/// Says what is wrong, on one line.
fn complain(message: &str) -> io::Result<()> {
    writeln!(io::stderr(), "mcp-auth: {}", show::line(message))
}

/// Help and the version, or what is wrong with the command line.
fn not_run(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this fails.
    let _ = match usage::sentence(error) {
        Some(sentence) => complain(&sentence),
        None => error.print(),
    };
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

fn run(command: Command) -> Result<Outcome, Failure> {
    match command {
        Command::Check(args) => check::run(&args).map(Outcome::printable),
        Command::Explain(args) => explain::run(args).map(Outcome::printable),
        Command::Issue(args) => issue::run(&args),
        Command::Init(args) => init::run(&args),
        // Escapes what came from outside by itself, since it has colours.
        Command::Probe(args) => probe::run(&args),
        Command::Schema => {
            let schema = serde_json::to_string_pretty(&Config::schema())
                .map_err(|error| Failure::Usage(error.to_string()))?;
            Ok(Outcome {
                text: format!("{schema}\n"),
                yes: true,
            })
        }
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => man(&directory),
    }
}

fn completions(shell: Shell) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mcp-auth", &mut script);
    let text = String::from_utf8(script).map_err(|error| Failure::Usage(error.to_string()))?;
    // clap_complete 4.6 has two spellings of a name with a hyphen in its script for bash, so that
    // no command is found.
    let text = text.replace("mcp__subcmd__auth__", "mcp__auth__");
    Ok(Outcome { text, yes: true })
}

/// One page for the tool, and one for each command.
fn man(directory: &Path) -> Result<Outcome, Failure> {
    let name = directory.display();
    clap_mangen::generate_to(Cli::command(), directory)
        .map_err(|error| Failure::Usage(format!("cannot write to {name}: {error}")))?;
    Ok(Outcome {
        text: String::new(),
        yes: true,
    })
}

/// The bytes of a file.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display().to_string();
    match File::open(path) {
        Ok(file) => read(file, &name),
        Err(error) => Err(Failure::Usage(format!("cannot read {name}: {error}"))),
    }
}

/// The bytes of standard input.
fn read_stdin() -> Result<Vec<u8>, Failure> {
    if io::stdin().is_terminal() {
        let hint = "mcp-auth: reading standard input; end it with Ctrl-D";
        // Only a courtesy.
        let _ = writeln!(io::stderr(), "{hint}");
    }
    read(io::stdin(), "standard input")
}

/// All of an input, if it ends in time: it may be a device or a pipe.
fn read(input: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // One byte more tells an input that is too long from one that just fits.
    let read = input
        .take(MAX_INPUT_BYTES.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_INPUT_BYTES) {
        Ok(bytes)
    } else {
        let max = MAX_INPUT_BYTES;
        Err(Failure::Usage(format!("{name} is longer than {max} bytes")))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the core has no clock, so its callers bring one: here, as in the filter"
)]
fn now() -> UnixNanos {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixNanos::ZERO.saturating_add(since)
}

//! Judges tokens line by line, through the same gate as the filter: for the differential test.
//!
//! In, one JSON object a line: `{"config": {...}, "path": "/mcp"}` sets the configuration and the
//! path of the lines below; `{"token": "...", "now": 1800000000}` asks. Out, one line for each
//! question: `allow`, or the label of the reason for the refusal. With `--reasons`, the labels of
//! all reasons that a token can be refused for.

use std::error::Error;
use std::io::{self, BufRead as _, BufWriter, Write as _};

use mcp_auth_filter::config::Config;
use mcp_auth_filter::gate::{self, Decision};
use mcp_auth_filter::head::Head;
use mcp_auth_filter::jose::signature::Portable;
use mcp_auth_filter::keys::Keys;
use mcp_auth_filter::reason::{Fault, Reason};
use mcp_auth_filter::resource::host::Authority;
use mcp_auth_filter::time::UnixNanos;
use mcp_auth_filter::trust::Trust;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Setting {
        config: serde_json::Value,
        path: String,
    },
    Question {
        token: String,
        now: u64,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    if std::env::args().any(|argument| argument == "--reasons") {
        for reason in Reason::ALL {
            if reason.fault() == Fault::Token {
                writeln!(out, "{}", reason.label())?;
            }
        }
        return Ok(());
    }
    let mut setting = None;
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Line::Setting { config, path } => {
                setting = Some((Config::parse(config.to_string().as_bytes())?, path));
            }
            Line::Question { token, now } => {
                let (config, path) = setting.as_ref().ok_or("a question before its setting")?;
                writeln!(out, "{}", judge(config, path, &token, now)?)?;
            }
        }
    }
    Ok(())
}

fn judge(
    config: &Config,
    path: &str,
    token: &str,
    now: u64,
) -> Result<&'static str, Box<dyn Error>> {
    let now = UnixNanos::from_secs(now);
    let head = Head::new(vec![
        (":method".to_owned(), b"POST".to_vec()),
        (
            "authorization".to_owned(),
            format!("Bearer {token}").into_bytes(),
        ),
    ]);
    let route = gate::route(config, Some(path.as_bytes()), Authority::NotRead);
    let keys = Keys::new(config.key_sources(), now, 0);
    let mut trust = Trust::new(config, keys, Box::new(Portable), [1, 2]);
    match gate::decide(config, &route, &head, &mut trust, now, now) {
        Decision::Allow(_) => Ok("allow"),
        Decision::Refuse(refusal, _) => Ok(refusal.reason.label()),
        other @ (Decision::Pass
        | Decision::Off
        | Decision::Preflight(_)
        | Decision::Unanswered(_)
        | Decision::Answer(_)
        | Decision::Observe(..)
        | Decision::Wait(_)
        | Decision::ReadBody(_)) => Err(format!("{path} is not protected: {other:?}").into()),
    }
}

//! The checks: what was expected, what was found, who breaks on it, and how to mend it.

pub(crate) mod cors;
mod endpoint;
mod issuer;
mod metadata;

use super::metadata::of_resource;
use super::transcript::Transcript;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Pass,
    /// Allowed, and unwise or worth knowing.
    Note,
    Fail,
}

/// One check.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// Names it in every version of the tool.
    pub(crate) name: &'static str,
    pub(crate) mark: Mark,
    pub(crate) expected: &'static str,
    /// From the server in part: to be escaped where it is shown.
    pub(crate) found: String,
    /// Who is hurt; empty where nobody is.
    pub(crate) breaks: &'static str,
    /// What to change; empty where nothing is to be.
    pub(crate) mend: String,
}

impl Check {
    /// One that came out well.
    pub(crate) fn pass(name: &'static str, expected: &'static str, found: String) -> Self {
        Self {
            name,
            mark: Mark::Pass,
            expected,
            found,
            breaks: "",
            mend: String::new(),
        }
    }

    /// The same, but something is wrong.
    pub(crate) fn fails(self, breaks: &'static str, mend: impl Into<String>) -> Self {
        Self {
            mark: Mark::Fail,
            breaks,
            mend: mend.into(),
            ..self
        }
    }

    /// The same, but something is unwise.
    pub(crate) fn notes(self, breaks: &'static str, mend: impl Into<String>) -> Self {
        Self {
            mark: Mark::Note,
            ..self.fails(breaks, mend)
        }
    }
}

/// All checks that need no token, in the order of a login.
pub(crate) fn all(transcript: &Transcript) -> Vec<Check> {
    let mut checks = endpoint::all(transcript);
    if transcript.exchanges.len() <= 1 {
        return checks;
    }
    // Where nobody is asked to log in, and nothing says that somebody should be, nothing else matters.
    if endpoint::is_open(transcript) && of_resource(transcript).is_none() {
        checks.retain(|check| check.name != "get-and-head");
    } else {
        checks.extend(super::inside::bad_token(transcript));
        checks.extend(metadata::all(transcript));
        checks.extend(issuer::all(transcript));
    }
    checks.extend(cors::all(transcript));
    checks
}

//! Why a question brought no answer.

use std::fmt;

use super::answer::AnswerFlaw;

/// Why a question brought no answer. None of these says anything of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError {
    /// The connection was reset, or the call could not be made.
    Failed,
    /// No answer, and no callback either.
    Lost,
    /// Another status than 200; 503 and 504 are Envoy's own where the server cannot be reached.
    Status(u16),
    /// The answer cannot be used.
    Answer(AnswerFlaw),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the call failed or was reset"),
            Self::Lost => f.write_str("the call was never answered"),
            Self::Status(status @ (401 | 403)) => write!(
                f,
                "the answer has status {status}: the credentials of the introspection cluster are refused"
            ),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::Answer(flaw) => write!(f, "the answer cannot be used: {flaw}"),
        }
    }
}

impl AskError {
    /// The `result` label of the counter of questions.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed | Self::Status(503) => "unreachable",
            Self::Lost | Self::Status(504) => "timeout",
            Self::Status(401 | 403) => "unauthorized",
            Self::Status(_) => "status",
            Self::Answer(AnswerFlaw::TooLarge) => "too_large",
            Self::Answer(AnswerFlaw::NotAnObject | AnswerFlaw::NoActive) => "malformed",
        }
    }

    /// Whether the same question may bring an answer at once: the server may have closed the
    /// connection just as the question was sent.
    pub(super) const fn is_reset(self) -> bool {
        matches!(self, Self::Failed | Self::Status(503))
    }
}

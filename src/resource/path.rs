//! Paths of requests: which pattern one is below, and whether that can be told for certain.
//!
//! Servers read odd paths in many ways: they decode percent-encoding once or twice, merge slashes,
//! resolve dot segments, drop `;parameters`, take `\` for `/`, ignore case, or trim. Their readings
//! are not listed here. A path is taken for one that is below a pattern unless that can be ruled
//! out, in two steps: [`undone`] has all characters that single characters can become, [`reading`]
//! all that can be left of segments. So a path that some server reads as below a pattern, but that
//! is not plainly so, is [`PathMatch::Ambiguous`].

mod characters;
mod reading;
#[cfg(test)]
mod tests;
mod undone;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use crate::template::Bindings;

/// The longest value of a variable, in bytes.
const MAX_VALUE_BYTES: usize = 128;
/// How many characters are read in search of a segment, of all patterns together: some milliseconds.
/// One pattern of eight segments is looked for in any path that Envoy takes (60 KiB).
const MAX_READ: usize = 1024 * 1024;

/// A path of the configuration: it stands for itself and for all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(String),
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// It does not begin with `/`.
    NotAbsolute,
    /// It has an empty segment: `//`.
    EmptySegment,
    /// It has a segment `.` or `..`.
    DotSegment,
    /// It has a character that a plain path does not have.
    Character(char),
    /// `{` or `}` in the midst of a segment, or a name that is not `[a-z][a-z0-9_]*`.
    Variable(String),
    /// The same variable twice.
    RepeatedVariable(String),
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("it does not begin with /"),
            Self::EmptySegment => f.write_str("it has an empty segment"),
            Self::DotSegment => f.write_str("it has a segment . or .."),
            Self::Character(character) => write!(f, "it has the character {character:?}"),
            Self::Variable(segment) => write!(f, "{segment:?} is neither a segment nor a variable"),
            Self::RepeatedVariable(name) => write!(f, "it has {{{name}}} twice"),
        }
    }
}

/// The relation of a request's path to a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// No server reads it as below the pattern.
    None,
    /// It is below it, in its own spelling and for every server.
    Exact(Bindings),
    /// It would be below it without a suffix: `/mcp.json`. To some servers it is, others may have
    /// something else there.
    Suffixed(Bindings),
    /// It may be below it: nobody can tell what a server makes of it.
    Ambiguous,
}

impl PathPattern {
    /// Parses `/`, `/mcp` or `/t/{tenant}/mcp`. A trailing slash makes no difference.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let path = text.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut pattern = Self {
            segments: Vec::new(),
        };
        if path.is_empty() {
            return if text.len() > 1 {
                Err(PatternError::EmptySegment)
            } else {
                Ok(pattern)
            };
        }
        for text in path.split('/') {
            let segment = Segment::parse(text)?;
            if let Segment::Variable(name) = &segment
                && pattern.variables().any(|other| other == name)
            {
                return Err(PatternError::RepeatedVariable(name.clone()));
            }
            pattern.segments.push(segment);
        }
        Ok(pattern)
    }

    /// Orders patterns: the greater is asked first, since a path below both is rather its.
    pub fn specificity(&self) -> (usize, usize) {
        let literals = self
            .segments
            .iter()
            .filter(|segment| matches!(segment, Segment::Literal(_)))
            .count();
        (self.segments.len(), literals)
    }

    /// The number of its segments.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Returns whether the two stand for the same paths; case does not tell paths apart.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self
                .segments
                .iter()
                .zip(&other.segments)
                .all(|pair| match pair {
                    (Segment::Literal(one), Segment::Literal(other)) => {
                        one.eq_ignore_ascii_case(other)
                    }
                    (Segment::Variable(_), Segment::Variable(_)) => true,
                    (Segment::Literal(_), Segment::Variable(_))
                    | (Segment::Variable(_), Segment::Literal(_)) => false,
                })
    }

    /// The path that it is, if it has no variables.
    pub fn literal(&self) -> Option<String> {
        let is_literal = self.variables().next().is_none();
        is_literal.then(|| format!("/{}", self.literals().collect::<Vec<_>>().join("/")))
    }

    fn literals(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            Segment::Variable(_) => None,
        })
    }

    /// The names of its variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Variable(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Variable(name) => write!(f, "/{{{name}}}"),
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        match text {
            "" => return Err(PatternError::EmptySegment),
            "." | ".." => return Err(PatternError::DotSegment),
            _ => {}
        }
        if text.contains(['{', '}']) {
            let name = text
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
                .filter(|name| {
                    name.starts_with(|c: char| c.is_ascii_lowercase())
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                });
            return name
                .map(|name| Self::Variable(name.to_owned()))
                .ok_or_else(|| PatternError::Variable(text.to_owned()));
        }
        match text.chars().find(|c| !u8::try_from(*c).is_ok_and(is_plain)) {
            Some(character) => Err(PatternError::Character(character)),
            // A server that trims would take it for another segment.
            None if text.ends_with('.') => Err(PatternError::Character('.')),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }
}

/// The path of one request.
#[derive(Debug)]
pub struct RequestPath<'a> {
    raw: &'a [u8],
    /// See [`undone`]; without the first `/`. `None` if it may be anything.
    text: Option<Cow<'a, [u8]>>,
    /// Every server reads the same segments.
    is_clear: bool,
    /// How many characters may still be read.
    unread: Cell<usize>,
}

impl<'a> RequestPath<'a> {
    /// From `:path`, as received. A query is not looked at.
    pub fn new(path: &'a [u8]) -> Self {
        let raw = path.split(|b| *b == b'?').next().unwrap_or_default();
        let (text, is_clear) = match raw.strip_prefix(b"/") {
            Some(path) if is_plain_path(path) => (Some(Cow::Borrowed(path)), true),
            Some(path) => {
                let undone = undone::undone(path);
                (undone.text.map(Cow::Owned), undone.is_clear)
            }
            // An absolute URL, or what a server makes a path of.
            None => (None, false),
        };
        Self {
            raw,
            text,
            is_clear,
            unread: Cell::new(MAX_READ),
        }
    }

    /// The path as received, up to its query.
    pub fn without_query(&self) -> &'a [u8] {
        self.raw
    }

    /// The path's variables if it is below the pattern for every server.
    pub fn exactly(&self, pattern: &PathPattern) -> Option<Bindings> {
        match spelt_below(self.raw, pattern) {
            Some(Spelt {
                bindings: Some(bindings),
                is_suffixed: false,
            }) if self.is_clear => Some(bindings),
            Some(_) | None => None,
        }
    }

    /// The relation of the path to a pattern.
    pub fn matches(&self, pattern: &PathPattern) -> PathMatch {
        match spelt_below(self.raw, pattern) {
            Some(Spelt {
                bindings: Some(bindings),
                is_suffixed,
            }) if self.is_clear => {
                if is_suffixed {
                    PathMatch::Suffixed(bindings)
                } else {
                    PathMatch::Exact(bindings)
                }
            }
            Some(_) => PathMatch::Ambiguous,
            None if self.may_be_below(pattern) => PathMatch::Ambiguous,
            None => PathMatch::None,
        }
    }

    fn may_be_below(&self, pattern: &PathPattern) -> bool {
        match &self.text {
            Some(Cow::Borrowed(plain)) if begins_otherwise(plain, pattern) => false,
            Some(text) if self.takes(text.len(), pattern) => {
                reading::may_be_below(text, &pattern.segments)
            }
            // It cannot be told, or would take too long.
            Some(_) | None => true,
        }
    }

    /// Returns whether so many characters may still be read in search of a pattern.
    fn takes(&self, length: usize, pattern: &PathPattern) -> bool {
        let takes = length.saturating_mul(pattern.segments.len());
        let left = self.unread.get().checked_sub(takes);
        self.unread.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// The form of most plain paths: of another first name, and of no script. All others are read.
fn begins_otherwise(plain: &[u8], pattern: &PathPattern) -> bool {
    let Some(Segment::Literal(name)) = pattern.segments.first() else {
        return false;
    };
    let has_script = memchr::memchr_iter(b'.', plain)
        .filter_map(|at| plain.get(at..at.saturating_add(4)))
        .any(|script| script.eq_ignore_ascii_case(b".php"));
    let begins = plain
        .get(..name.len())
        .is_some_and(|first| first.eq_ignore_ascii_case(name.as_bytes()));
    !begins && !has_script
}

/// That a path is spelt as one below a pattern.
struct Spelt {
    /// `None` if a variable's value is none.
    bindings: Option<Bindings>,
    /// Some name has something behind it.
    is_suffixed: bool,
}

/// Returns whether the path is below the pattern as it is spelt, but for suffixes.
fn spelt_below(raw: &[u8], pattern: &PathPattern) -> Option<Spelt> {
    let mut found = segments(raw).peekable();
    let mut bindings = Vec::new();
    let mut is_bad = false;
    let mut is_suffixed = false;
    for segment in &pattern.segments {
        let found_segment = found.next()?;
        match segment {
            Segment::Literal(text) => {
                let suffix = found_segment.strip_prefix(text.as_bytes())?;
                match suffix.first() {
                    None => {}
                    Some(first) if ends_name(*first) && is_plain(*first) => is_suffixed = true,
                    Some(_) => return None,
                }
            }
            // `/t/` is not below `/t/{tenant}`.
            Segment::Variable(_) if found_segment.is_empty() && found.peek().is_none() => {
                return None;
            }
            Segment::Variable(name) => match value(found_segment) {
                Some(value) => bindings.push((name.clone(), value.to_owned())),
                None => is_bad = true,
            },
        }
    }
    Some(Spelt {
        bindings: (!is_bad).then_some(Bindings(bindings)),
        is_suffixed,
    })
}

/// Returns whether a character behind a name is none of it.
fn ends_name(character: u8) -> bool {
    !(character.is_ascii_alphanumeric() || matches!(character, b'-' | b'_'))
}

/// Plain characters only, no empty segment but a last one, and none of dots alone.
fn is_plain_path(path: &[u8]) -> bool {
    path.iter().all(|b| is_plain(*b) || *b == b'/')
        && (path.is_empty()
            || path
                .strip_suffix(b"/")
                .unwrap_or(path)
                .split(|b| *b == b'/')
                .all(|segment| segment.iter().any(|b| *b != b'.')))
}

/// The segments of a path; `/` has none.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    (!path.is_empty())
        .then(|| path.split(|b| *b == b'/'))
        .into_iter()
        .flatten()
}

fn value(segment: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(segment).ok()?;
    let allowed = (1..=MAX_VALUE_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
        && !matches!(text, "." | "..");
    allowed.then_some(text)
}

/// A byte that means the same to every server: RFC 3986 `pchar` without `%` and `;`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

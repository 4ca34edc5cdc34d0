//! Paths of requests: which pattern one is below, and whether that can be told for certain.
//!
//! Servers read odd paths in many ways: they decode percent-encoding once or twice, merge slashes,
//! resolve dot segments, drop `;parameters`, take `\` for `/`, ignore case, or trim. A path that is
//! below a pattern in any of these readings, but not plainly so, is [`PathMatch::Ambiguous`].

mod readings;
#[cfg(test)]
mod tests;

use std::fmt;

use readings::Readings;

/// The longest value of a variable, in bytes.
const MAX_VALUE_BYTES: usize = 128;

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

/// What the variables of a pattern stand for in a request: each of 1 to 128 characters out of
/// `A-Z a-z 0-9 - . _ ~` (RFC 3986 §2.3), so that it can stand in a URL, a header, and in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bindings(Vec<(String, String)>);

impl Bindings {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len().saturating_add(value.len()))
            .fold(0, usize::saturating_add)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Bindings {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(values: I) -> Self {
        let values = values.into_iter();
        Self(
            values
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

/// How a request's path stands to a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathMatch {
    /// It is not below the pattern in any reading.
    None,
    /// It is below it, in its own spelling and in every reading.
    Exact(Bindings),
    /// It is below it in some reading: nobody can tell what a server makes of it.
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

    /// How many segments it has.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Whether the two stand for the same paths; case does not tell paths apart.
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

/// The path of one request, read in every way once.
#[derive(Debug)]
pub struct RequestPath<'a> {
    raw: &'a [u8],
    readings: Readings<'a>,
}

impl<'a> RequestPath<'a> {
    /// From `:path`, as received. A query is not looked at.
    pub fn new(path: &'a [u8]) -> Self {
        let raw = path.split(|b| *b == b'?').next().unwrap_or_default();
        Self {
            raw,
            readings: Readings::of(raw),
        }
    }

    /// The path as received, up to its query.
    pub fn without_query(&self) -> &'a [u8] {
        self.raw
    }

    /// How the path stands to a pattern.
    pub fn matches(&self, pattern: &PathPattern) -> PathMatch {
        match below(self.raw, pattern) {
            Below::Yes(bindings) if self.readings.is_clean() => PathMatch::Exact(bindings),
            Below::Yes(_) | Below::BadValue => PathMatch::Ambiguous,
            Below::No if self.readings.any(|path| reads_below(path, pattern)) => {
                PathMatch::Ambiguous
            }
            Below::No if self.readings.may_hide(pattern.literals()) => PathMatch::Ambiguous,
            Below::No => PathMatch::None,
        }
    }
}

enum Below {
    No,
    Yes(Bindings),
    /// But for a variable whose value is none.
    BadValue,
}

/// Whether the path is below the pattern as it is spelt.
fn below(raw: &[u8], pattern: &PathPattern) -> Below {
    let mut found = segments(raw).peekable();
    let mut bindings = Vec::new();
    let mut bad_value = false;
    for segment in &pattern.segments {
        let Some(found_segment) = found.next() else {
            return Below::No;
        };
        match segment {
            Segment::Literal(text) if text.as_bytes() == found_segment => {}
            Segment::Literal(_) => return Below::No,
            // `/t/` is not below `/t/{tenant}`.
            Segment::Variable(_) if found_segment.is_empty() && found.peek().is_none() => {
                return Below::No;
            }
            Segment::Variable(name) => match value(found_segment) {
                Some(value) => bindings.push((name.clone(), value.to_owned())),
                None => bad_value = true,
            },
        }
    }
    if bad_value {
        Below::BadValue
    } else {
        Below::Yes(Bindings(bindings))
    }
}

/// Whether a reading is below the pattern for a server that ignores case, and that takes
/// `/mcp.json` for `/mcp`: routes of Rails, and of Spring before 5.3, end in an optional format.
/// That covers servers on Windows too, which drop final dots and white space.
fn reads_below(path: &[u8], pattern: &PathPattern) -> bool {
    let mut found = segments(path).peekable();
    let mut wanted = pattern.segments.iter().peekable();
    while let Some(segment) = wanted.next() {
        let Some(found_segment) = found.next() else {
            return false;
        };
        let fits = match segment {
            Segment::Literal(text) => {
                is_literal(trim(found_segment), text)
                    || wanted.peek().is_none() && has_format(found_segment, text)
            }
            Segment::Variable(_) => !found_segment.is_empty() || found.peek().is_some(),
        };
        if !fits {
            return false;
        }
    }
    true
}

fn is_literal(segment: &[u8], text: &str) -> bool {
    segment.eq_ignore_ascii_case(text.as_bytes())
}

fn has_format(segment: &[u8], text: &str) -> bool {
    segment
        .split_at_checked(text.len())
        .is_some_and(|(name, format)| is_literal(name, text) && format.starts_with(b"."))
}

/// Without the final dots and white space that servers on Windows drop.
fn trim(segment: &[u8]) -> &[u8] {
    let kept = segment.iter().rposition(|b| *b != b'.' && *b > b' ');
    segment
        .get(..kept.map_or(0, |last| last.saturating_add(1)))
        .unwrap_or_default()
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

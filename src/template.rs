//! Strings of the configuration in which `{name}` stands for one path segment of the request.

use std::borrow::Cow;
use std::fmt;

/// The values of the variables of a pattern in a request: each of 1 to 128 characters out of
/// `A-Z a-z 0-9 - . _ ~` (RFC 3986 §2.3), so that it can stand in a URL, a header, and in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bindings(pub(crate) Vec<(String, String)>);

impl Bindings {
    /// Those of a pattern without variables.
    pub(crate) const NONE: &'static Self = &Self(Vec::new());

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number of bytes that they take.
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

/// A string with variables. One without any is rendered without a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable(String),
}

/// Why a string is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without `}`, or a `}` without `{`.
    Unbalanced,
    /// `{name}` where the resource's path has no such variable.
    UnknownVariable(String),
}

impl Template {
    /// Parses `text`; each variable must be one of `variables`.
    pub fn parse<'v>(
        text: &str,
        variables: impl IntoIterator<Item = &'v str> + Clone,
    ) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateError::Unbalanced)?;
            if literal.contains('}') {
                return Err(TemplateError::Unbalanced);
            }
            if !variables.clone().into_iter().any(|known| known == name) {
                return Err(TemplateError::UnknownVariable(name.to_owned()));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = after;
        }
        if rest.contains('}') {
            return Err(TemplateError::Unbalanced);
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// This between two literal strings.
    pub fn surrounded(&self, before: &str, after: &str) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let before = [Part::Literal(before.to_owned())];
        let after = [Part::Literal(after.to_owned())];
        for part in before
            .into_iter()
            .chain(self.parts.iter().cloned())
            .chain(after)
        {
            match (parts.last_mut(), part) {
                (Some(Part::Literal(last)), Part::Literal(text)) => last.push_str(&text),
                (_, part) => parts.push(part),
            }
        }
        Self { parts }
    }

    /// Returns whether it has variables.
    pub fn has_variables(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Variable(_)))
    }

    /// The string with each variable replaced by what the request's path binds it to.
    pub fn render(&self, bindings: &Bindings) -> Cow<'_, str> {
        if let [Part::Literal(text)] = self.parts.as_slice() {
            return Cow::Borrowed(text);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable(name) => text.push_str(bindings.get(name).unwrap_or_default()),
            }
        }
        Cow::Owned(text)
    }
}

/// With `{name}` for variables, as in the configuration.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Variable(name) => write!(f, "{{{name}}}"),
        })
    }
}

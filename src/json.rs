//! Strict JSON for what comes from outside: UTF-8, every member name once at every depth, at most
//! [`MAX_DEPTH`] levels, nothing behind the value.
//!
//! Two readers of a document with a duplicate member may each see another value (RFC 8259 §4), and
//! an attacker chooses which one checks and which one acts. RFC 7515 §4 and RFC 7519 §4 allow
//! either to refuse or to take the last; here they are refused.

mod members;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

pub use members::{Object, Raw, Text};

/// How deep arrays and objects may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// Why bytes are not strict JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not UTF-8 (RFC 8259 §8.1).
    NotUtf8,
    /// Not JSON, or something stands behind the value. Both count from 1; 0 is before the first.
    Syntax {
        /// Line.
        line: usize,
        /// Byte of the line.
        column: usize,
    },
    /// A member name comes twice in one object.
    DuplicateMember,
    /// More than [`MAX_DEPTH`] levels.
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::Syntax { line, column } => write!(f, "not JSON at line {line} column {column}"),
            Self::DuplicateMember => f.write_str("an object has the same member twice"),
            Self::TooDeep => write!(f, "more than {MAX_DEPTH} levels deep"),
        }
    }
}

impl std::error::Error for JsonError {}

/// Parses one JSON value.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let flaw = Flaw::default();
    let value = run(
        bytes,
        Node {
            depth: MAX_DEPTH,
            flaw: &flaw,
        },
    );
    match flaw.take() {
        Some(flaw) => Err(flaw),
        None => value.map_err(|error| error.into_syntax()),
    }
}

/// The elements of one array of a document, each with its own verdict.
#[derive(Debug, PartialEq)]
pub(crate) struct Elements {
    /// At most as many as asked for.
    pub(crate) elements: Vec<Result<Value, JsonError>>,
    /// How many more there were.
    pub(crate) more: usize,
}

/// Parses an object for the array in its `member`; the other members are not looked at. A flaw
/// inside an element other than bad syntax is that element's alone. `None` if the document is no
/// object, or has no array of that name.
pub(crate) fn parse_elements(
    bytes: &[u8],
    member: &'static str,
    max: usize,
) -> Result<Option<Elements>, JsonError> {
    let flaw = Flaw::default();
    let elements = run(
        bytes,
        Document {
            member,
            max,
            flaw: &flaw,
        },
    );
    match (flaw.take(), elements) {
        (Some(flaw), _) => Err(flaw),
        (None, Ok(elements)) => Ok(elements),
        (None, Err(Failure::Json(error))) if error.is_data() => Ok(None),
        (None, Err(failure)) => Err(failure.into_syntax()),
    }
}

enum Failure {
    Utf8,
    Json(serde_json::Error),
}

impl Failure {
    fn into_syntax(self) -> JsonError {
        match self {
            Self::Utf8 => JsonError::NotUtf8,
            Self::Json(error) => JsonError::Syntax {
                line: error.line(),
                column: error.column(),
            },
        }
    }
}

fn run<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::Utf8)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer).map_err(Failure::Json)?;
    deserializer.end().map_err(Failure::Json)?;
    Ok(value)
}

/// The first flaw that is not one of syntax: parsing goes on behind it, so that the elements behind
/// a flawed one can still be had.
#[derive(Default)]
struct Flaw(Cell<Option<JsonError>>);

impl Flaw {
    fn note(&self, flaw: JsonError) {
        self.0.set(Some(self.0.take().unwrap_or(flaw)));
    }

    fn take(&self) -> Option<JsonError> {
        self.0.take()
    }
}

/// A value with at most `depth` more levels.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    flaw: &'a Flaw,
}

impl Node<'_> {
    fn inner(self) -> Option<Self> {
        let depth = self.depth.checked_sub(1);
        if depth.is_none() {
            self.flaw.note(JsonError::TooDeep);
        }
        Some(Self {
            depth: depth?,
            flaw: self.flaw,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let Some(inner) = self.inner() else {
            while access.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let Some(inner) = self.inner() else {
            while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        };
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members
                .insert(name, access.next_value_seed(inner)?)
                .is_some()
            {
                self.flaw.note(JsonError::DuplicateMember);
            }
        }
        Ok(Value::Object(members))
    }
}

/// An object of which only the array `member` is kept.
struct Document<'a> {
    member: &'static str,
    max: usize,
    flaw: &'a Flaw,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = Option<Elements>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = Option<Elements>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        let mut found = None;
        let mut duplicate = false;
        while let Some(name) = access.next_key::<String>()? {
            if name == self.member {
                found = Some(access.next_value_seed(Array {
                    max: self.max,
                    flaw: self.flaw,
                })?);
            } else {
                access.next_value::<IgnoredAny>()?;
            }
            duplicate |= !names.insert(name);
        }
        // Noted last: the flaws before it were taken by their elements.
        if duplicate {
            self.flaw.note(JsonError::DuplicateMember);
        }
        Ok(found)
    }
}

struct Array<'a> {
    max: usize,
    flaw: &'a Flaw,
}

impl<'de> DeserializeSeed<'de> for Array<'_> {
    type Value = Elements;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Elements, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_> {
    type Value = Elements;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Elements, A::Error> {
        let node = Node {
            depth: MAX_DEPTH,
            flaw: self.flaw,
        };
        let mut elements = Vec::new();
        while elements.len() < self.max {
            let Some(element) = access.next_element_seed(node)? else {
                return Ok(Elements { elements, more: 0 });
            };
            elements.push(self.flaw.take().map_or(Ok(element), Err));
        }
        let mut more: usize = 0;
        while access.next_element::<IgnoredAny>()?.is_some() {
            more = more.saturating_add(1);
        }
        Ok(Elements { elements, more })
    }
}

//! Strict JSON for what comes from outside: UTF-8, every member name once at every depth, at most
//! [`MAX_DEPTH`] levels, nothing behind the value.
//!
//! Two readers of a document with a duplicate member may each see another value (RFC 8259 §4), and
//! an attacker chooses which one checks and which one acts. RFC 7515 §4 and RFC 7519 §4 allow
//! either to refuse or to take the last; here they are refused.

mod members;
pub(crate) mod outline;
#[cfg(test)]
mod tests;

use std::cell::Cell;
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

/// The first flaw that is not one of syntax: it is told, whatever stands behind it.
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

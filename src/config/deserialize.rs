//! The configuration as a tree of JSON, which serde reads with the path of each field at hand.
//!
//! Types are read from one kind of deserializer: what each of them costs in code, it costs once.

use std::fmt;

use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Number;

use super::ConfigError;
use super::words::{nearest, quoted};

/// A JSON value in which names may come twice: whether they may is for its reader to say.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Flag(bool),
    Number(Number),
    String(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// A field, and what is wrong with it.
#[derive(Debug)]
pub(super) struct FieldError {
    /// Outwards from the field.
    steps: Vec<Step>,
    found: String,
    allowed: String,
}

#[derive(Debug)]
enum Step {
    Name(String),
    Place(usize),
}

impl FieldError {
    #[cold]
    #[inline(never)]
    fn new(found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self {
            steps: Vec::new(),
            found: found.into(),
            allowed: allowed.into(),
        }
    }

    /// The field, such as `resources[0].scopes`; empty for the whole.
    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Name(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Step::Place(at) => path.push_str(&format!("[{at}]")),
            }
        }
        path
    }

    #[cold]
    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl From<FieldError> for ConfigError {
    fn from(error: FieldError) -> Self {
        Self::Value {
            field: error.path(),
            found: error.found,
            allowed: error.allowed,
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found {}; allowed: {}", self.found, self.allowed)
    }
}

impl std::error::Error for FieldError {}

/// Serde's words become those of JSON. What has another type is told before serde sees it.
impl serde::de::Error for FieldError {
    #[cold]
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new(problem.to_string(), "what the schema allows")
    }

    #[cold]
    fn missing_field(field: &'static str) -> Self {
        let error = Self::new("nothing", "a value: the field must be there");
        error.within(Step::Name(field.to_owned()))
    }

    #[cold]
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let found = match nearest(field, known.iter().copied()) {
            Some(meant) => format!("an unknown field (is `{meant}` meant?)"),
            None => "an unknown field".to_owned(),
        };
        Self::new(found, format!("only {}", known.join(", ")))
    }

    #[cold]
    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        let known: Vec<String> = known.iter().map(quoted).collect();
        Self::new(quoted(found), known.join(" or "))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Flag(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).map(Node::Number);
        number.ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = access.next_element()? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = FieldError;

    /// For what may be anything: an inline key set.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Flag(flag) => visitor.visit_bool(flag),
            Self::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(FieldError::custom("not a number")),
            },
            Self::String(text) => visitor.visit_string(text),
            Self::List(list) => visitor.visit_seq(ElementAccess::new(list)),
            Self::Object(members) => visitor.visit_map(MemberAccess::new(members)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let Self::Flag(flag) = self else {
            return Err(self.is_not("true or false"));
        };
        visitor.visit_bool(flag)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let number = match &self {
            Self::Number(number) => number.as_u64(),
            Self::Null | Self::Flag(_) | Self::String(_) | Self::List(_) | Self::Object(_) => None,
        };
        match number {
            Some(number) => visitor.visit_u64(number),
            None => Err(self.is_not("a whole number, 0 or more")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let Self::String(text) = self else {
            return Err(self.is_not("a string"));
        };
        visitor.visit_string(text)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let Self::List(list) = self else {
            return Err(self.is_not("a list"));
        };
        visitor.visit_seq(ElementAccess::new(list))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let Self::Object(members) = self else {
            return Err(self.is_not("an object"));
        };
        visitor.visit_map(MemberAccess::new(members))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if matches!(self, Self::Null) {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    /// Only those whose variants are names.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        let Self::String(text) = self else {
            return Err(self.is_not("a string"));
        };
        let name: StrDeserializer<'_, FieldError> = text.as_str().into_deserializer();
        visitor.visit_enum(name)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

impl Node {
    /// An error that says in a phrase what it is. A string is not repeated: it may be a secret astray.
    #[cold]
    #[inline(never)]
    fn is_not(&self, allowed: &str) -> FieldError {
        let found = match self {
            Self::Null => "null".to_owned(),
            Self::Flag(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::String(_) => "a string".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Object(_) => "an object".to_owned(),
        };
        FieldError::new(found, allowed)
    }
}

struct ElementAccess {
    rest: std::vec::IntoIter<Node>,
    at: usize,
}

impl ElementAccess {
    fn new(list: Vec<Node>) -> Self {
        Self {
            rest: list.into_iter(),
            at: 0,
        }
    }
}

impl<'de> SeqAccess<'de> for ElementAccess {
    type Error = FieldError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FieldError> {
        let Some(element) = self.rest.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at = at.saturating_add(1);
        let value = seed.deserialize(element);
        value
            .map(Some)
            .map_err(|error| error.within(Step::Place(at)))
    }
}

struct MemberAccess {
    rest: std::vec::IntoIter<(String, Node)>,
    seen: Vec<String>,
    value: Option<Node>,
}

impl MemberAccess {
    fn new(members: Vec<(String, Node)>) -> Self {
        Self {
            seen: Vec::with_capacity(members.len()),
            rest: members.into_iter(),
            value: None,
        }
    }

    /// The next member's name, if it did not come before.
    #[inline(never)]
    fn next_name(&mut self) -> Result<Option<String>, FieldError> {
        let Some((name, value)) = self.rest.next() else {
            return Ok(None);
        };
        let is_new = !self.seen.contains(&name);
        self.seen.push(name.clone());
        self.value = Some(value);
        if is_new {
            Ok(Some(name))
        } else {
            Err(self.within(FieldError::new("it twice", "each name once in an object")))
        }
    }

    #[cold]
    #[inline(never)]
    fn within(&self, error: FieldError) -> FieldError {
        error.within(Step::Name(self.seen.last().cloned().unwrap_or_default()))
    }
}

impl<'de> MapAccess<'de> for MemberAccess {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, FieldError> {
        let Some(name) = self.next_name()? else {
            return Ok(None);
        };
        let name: StringDeserializer<FieldError> = name.into_deserializer();
        let key = seed.deserialize(name).map_err(|error| self.within(error))?;
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, FieldError> {
        let value = self.value.take().unwrap_or(Node::Null);
        seed.deserialize(value).map_err(|error| self.within(error))
    }
}

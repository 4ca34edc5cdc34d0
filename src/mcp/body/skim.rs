//! The parts of a JSON text in which something is looked for.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{BodyError, RequestId};

/// The longest id that is repeated in an answer, in bytes.
const MAX_ID_BYTES: usize = 256;

pub(super) type Flaw<'f> = &'f Cell<Option<BodyError>>;

pub(super) fn flawed<E: serde::de::Error>(flaw: Flaw<'_>, error: BodyError) -> E {
    flaw.set(flaw.get().or(Some(error)));
    E::custom("flawed")
}

/// The member names of one object so far.
pub(super) struct Names<'de, 'f> {
    flaw: Flaw<'f>,
    known: &'static [&'static str],
    seen: BTreeSet<Cow<'de, str>>,
}

impl<'de, 'f> Names<'de, 'f> {
    pub(super) fn new(flaw: Flaw<'f>, known: &'static [&'static str]) -> Self {
        Self {
            flaw,
            known,
            seen: BTreeSet::new(),
        }
    }

    /// The known name, or an empty text for another one.
    pub(super) fn add<E: serde::de::Error>(
        &mut self,
        name: Cow<'de, str>,
    ) -> Result<&'static str, E> {
        let known = self.known.iter().find(|known| folds_to(&name, known));
        if known.is_some_and(|known| *known != name) {
            return Err(flawed(self.flaw, BodyError::MisspeltMember));
        }
        if !self.seen.insert(name) {
            return Err(flawed(self.flaw, BodyError::DuplicateMember));
        }
        Ok(known.copied().unwrap_or_default())
    }
}

/// Whether a reader that ignores case takes `name` for `known`: Unicode's simple folding makes `ſ`
/// an s and the Kelvin sign a k.
fn folds_to(name: &str, known: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(known.chars().map(fold))
}

/// A member's value where a text or a number is looked for.
pub(super) enum Scalar {
    Text(String),
    Number(i64),
    Other,
}

impl Scalar {
    pub(super) fn into_id(self) -> Option<RequestId> {
        match self {
            Self::Number(number) => Some(RequestId::Number(number)),
            Self::Text(text) if text.len() <= MAX_ID_BYTES => Some(RequestId::Text(text)),
            Self::Text(_) | Self::Other => None,
        }
    }
}

pub(super) struct Leaf;

impl<'de> DeserializeSeed<'de> for Leaf {
    type Value = Scalar;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Scalar, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Leaf {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::Other, Scalar::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

/// A member's name, borrowed where it has no escapes.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

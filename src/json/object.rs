//! An object of which everything was looked at, with its text.

use super::scan::{Member, Scan, are_distinct};
use super::string::JsonString;
use super::value::{Json, find};

/// There is room for so many members before more memory is asked for.
const MEMBERS: usize = 16;

/// An object of strict JSON, and where its members are.
///
/// Every request with a token that is new reads two, in one pass that builds nothing.
#[derive(Clone, Default)]
pub struct Object {
    text: String,
    members: Vec<Member>,
}

impl Object {
    /// Reads an object; `None` if the bytes are no strict JSON, or another value.
    pub fn parse(bytes: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let mut members = Vec::with_capacity(MEMBERS);
        let is_object = Scan::deep(&text)
            .members(|name, value| members.push((name, value)))
            .ok()?;
        let is_sound = is_object && are_distinct(&members, |(name, _)| name.bytes(&text));
        is_sound.then_some(Self { text, members })
    }

    /// The object as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The value of a member.
    #[inline(never)]
    pub fn get(&self, name: &str) -> Option<Json<'_>> {
        find(Json::new(&self.text), &self.members, name)
    }

    /// This object, with those members of `other` behind its own that it lacks, or that are `null`
    /// in it.
    pub(crate) fn over(&self, other: &Self) -> Option<Self> {
        let has = |name: &str| self.get(name).is_some_and(|value| !value.is_null());
        let own = self.written().filter(|(_, value)| *value != "null");
        let others = other.written().filter(|(name, _)| !has(name));
        let mut text = String::from("{");
        for (at, (name, value)) in own.chain(others).enumerate() {
            if at > 0 {
                text.push(',');
            }
            text.push_str(&serde_json::to_string(name).ok()?);
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        Self::parse(text.into_bytes())
    }

    /// The members in order, their values as they are written.
    fn written(&self) -> impl Iterator<Item = (&str, &str)> {
        let members = self.members.iter();
        members.filter_map(|(name, value)| {
            Some((name.read(&self.text), self.text.get(value.clone())?))
        })
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let each = size_of::<Member>().saturating_mul(self.members.capacity());
        self.text.capacity().saturating_add(each)
    }

    /// A string of this object.
    pub(crate) fn read<'a>(&'a self, string: &'a JsonString) -> &'a str {
        string.read(&self.text)
    }
}

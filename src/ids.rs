//! Names of things that several modules speak of.

/// An issuer's place in the configuration's list of issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub usize);

/// A resource's place in the configuration's list of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(pub usize);

/// The host's number for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// A value for each issuer of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct ByIssuer<T>(Vec<T>);

impl<T> ByIssuer<T> {
    pub(crate) fn get(&self, id: IssuerId) -> Option<&T> {
        self.0.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: IssuerId) -> Option<&mut T> {
        self.0.get_mut(id.0)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = IssuerId> + use<T> {
        (0..self.0.len()).map(IssuerId)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (IssuerId, &T)> {
        self.ids().zip(&self.0)
    }
}

/// From the values in the order of the issuers.
impl<T> FromIterator<T> for ByIssuer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

//! The headers that a server must not get from its client, in every spelling that it may take for
//! them.
//!
//! Servers hand headers to applications under names in which only letters and digits are kept (CGI
//! and its kin make `_` of `-`; some make it of every other byte). So two names are one here if they
//! are equal after each byte that is no letter or digit became `-`, whatever their case: of two names
//! that any of these servers makes one, every byte that is a letter or digit is the same, and so is
//! where the others stand.

use super::IdentityHeader;
use crate::head::{folded, folds_to};

/// The headers that no request of a resource brings along, whatever `identity_headers` says: the default names,
/// which a server may look for all the same, and what gunicorn cuts from the front of a path. Each in
/// the spelling that [`folds_to`] makes of it.
pub(crate) const ALWAYS: [&str; 5] = [
    "x-mcp-sub",
    "x-mcp-client-id",
    "x-mcp-scope",
    "x-mcp-issuer",
    "script-name",
];

/// The names of those headers, for one resource: each once, in the spelling of [`folds_to`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld(Vec<Box<str>>);

impl Withheld {
    /// For a resource with these identity headers.
    pub(crate) fn new(identity: &[IdentityHeader]) -> Self {
        let mut names: Vec<Box<str>> = Vec::new();
        let own = identity.iter().map(|header| &*header.name);
        for name in own.chain(ALWAYS) {
            if !names.iter().any(|known| folds_to(name, known)) {
                let name: String = name.bytes().map(folded).map(char::from).collect();
                names.push(name.into());
            }
        }
        Self(names)
    }

    /// The names. A header that a server could take for one of them has a name of its length.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_server_could_take_for_one() {
        for byte in 0..=u8::MAX {
            let name = [b"x".as_slice(), &[byte], b"mcp", &[byte], b"sub"].concat();
            let Ok(name) = String::from_utf8(name) else {
                continue;
            };
            assert_eq!(
                folds_to(&name, "x-mcp-sub"),
                !byte.is_ascii_alphanumeric(),
                "{name:?}"
            );
        }
        assert!(folds_to("X_mcp.SUB", "x-mcp-sub"));
        for other in [
            "x-mcp-subject",
            "x-mcp-su",
            "xmcpsub",
            "x--mcp-sub",
            "x-mcp-suc",
            "",
        ] {
            assert!(!folds_to(other, "x-mcp-sub"), "{other}");
        }
        for name in ALWAYS {
            assert!(folds_to(name, name));
        }
    }
}

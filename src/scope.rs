//! Which scopes a token has, and which it lacks.

use std::collections::{BTreeMap, BTreeSet};

/// True of a scope-token of RFC 6749 §3.3.
pub(crate) fn is_scope_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Which broader scopes imply a narrower one, transitively.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeHierarchy {
    implied_by: BTreeMap<String, BTreeSet<String>>,
}

impl ScopeHierarchy {
    /// From `broader -> [narrower]`, as it stands in the configuration. Cycles make scopes equal.
    pub fn new(implies: &BTreeMap<String, Vec<String>>) -> Self {
        let mut implied_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for broader in implies.keys() {
            let mut open = vec![broader.as_str()];
            let mut seen = BTreeSet::new();
            while let Some(scope) = open.pop() {
                for narrower in implies.get(scope).into_iter().flatten() {
                    if seen.insert(narrower.as_str()) {
                        implied_by
                            .entry(narrower.clone())
                            .or_default()
                            .insert(broader.clone());
                        open.push(narrower);
                    }
                }
            }
        }
        Self { implied_by }
    }

    /// Each narrower scope with the broader ones that imply it, also by way of others.
    pub fn implied(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.implied_by
            .iter()
            .map(|(narrower, broader)| (narrower.as_str(), broader))
    }

    /// True if a token with the scopes `granted` has `needed`.
    pub fn grants(&self, granted: &[impl AsRef<str>], needed: &str) -> bool {
        granted.iter().any(|scope| scope.as_ref() == needed)
            || self
                .implied_by
                .get(needed)
                .is_some_and(|broader| granted.iter().any(|scope| broader.contains(scope.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(edges: &[(&str, &[&str])]) -> ScopeHierarchy {
        ScopeHierarchy::new(
            &edges
                .iter()
                .map(|(broader, narrower)| {
                    (
                        (*broader).to_owned(),
                        narrower.iter().map(|s| (*s).to_owned()).collect(),
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn broader_implies_narrower_and_not_the_reverse() {
        let scopes = hierarchy(&[("admin", &["write"]), ("write", &["read"])]);
        assert!(scopes.grants(&["admin"], "read"));
        assert!(scopes.grants(&["write"], "read"));
        assert!(scopes.grants(&["other", "read"], "read"));
        assert!(!scopes.grants(&["read"], "write"));
        assert!(!scopes.grants(&[""; 0], "read"));
    }

    #[test]
    fn a_cycle_makes_scopes_equal() {
        let scopes = hierarchy(&[("a", &["b"]), ("b", &["a"])]);
        assert!(scopes.grants(&["a"], "b"));
        assert!(scopes.grants(&["b"], "a"));
        assert!(!scopes.grants(&["c"], "a"));
    }

    #[test]
    fn scope_tokens_are_those_of_rfc_6749() {
        for (text, expected) in [
            ("mcp:read", true),
            ("https://graph.example/.default", true),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a\\b", false),
            ("é", false),
            ("a\u{7f}", false),
        ] {
            assert_eq!(is_scope_token(text), expected, "{text:?}");
        }
    }
}

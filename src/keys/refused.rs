//! A small memory of the keys that an issuer was asked for and did not have.

use std::collections::VecDeque;
use std::time::Duration;

use crate::jose::signature::Algorithm;
use crate::time::UnixNanos;

/// The most that are remembered; the oldest make room.
const MOST: usize = 64;
/// The longest `kid` that is remembered, in bytes.
const LONGEST_KID: usize = 256;

/// Keys that an issuer did not have when it was asked, or has withdrawn.
#[derive(Debug, Default)]
pub(super) struct RefusedKeys(VecDeque<Refused>);

#[derive(Debug)]
struct Refused {
    kid: Option<String>,
    alg: Algorithm,
    at: UnixNanos,
}

impl RefusedKeys {
    pub(super) fn remember(&mut self, kid: Option<&str>, alg: Algorithm, at: UnixNanos) {
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID) || self.position(kid, alg).is_some() {
            return;
        }
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let kid = kid.map(str::to_owned);
        self.0.push_back(Refused { kid, alg, at });
    }

    /// Returns whether it was refused within `period` before `now`.
    pub(super) fn has(
        &mut self,
        kid: Option<&str>,
        alg: Algorithm,
        now: UnixNanos,
        period: Duration,
    ) -> bool {
        self.0
            .retain(|refused| refused.at <= now && now.since(refused.at) < period);
        self.position(kid, alg).is_some()
    }

    fn position(&self, kid: Option<&str>, alg: Algorithm) -> Option<usize> {
        self.0.iter().position(|refused| match (&refused.kid, kid) {
            (Some(refused), Some(kid)) => refused == kid,
            // Without a name it is the algorithm that no key fits.
            (None, None) => refused.alg == alg,
            (Some(_), None) | (None, Some(_)) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALG: Algorithm = Algorithm::EdDsa;
    const PERIOD: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> UnixNanos {
        UnixNanos::from_secs(seconds)
    }

    #[test]
    fn remembers_for_a_while() {
        let mut refused = RefusedKeys::default();
        refused.remember(Some("a"), ALG, at(100));
        assert!(refused.has(Some("a"), ALG, at(129), PERIOD));
        assert!(!refused.has(Some("b"), ALG, at(129), PERIOD));
        assert!(!refused.has(None, ALG, at(129), PERIOD));
        assert!(!refused.has(Some("a"), ALG, at(130), PERIOD));
        assert!(!refused.has(Some("a"), ALG, at(129), PERIOD), "forgotten");
    }

    #[test]
    fn is_small_whatever_comes() {
        let mut refused = RefusedKeys::default();
        for number in 0..1000 {
            refused.remember(Some(&number.to_string()), ALG, at(100));
            refused.remember(Some(&"x".repeat(number)), ALG, at(100));
        }
        assert_eq!(refused.0.len(), MOST);
        assert!(refused.has(Some("999"), ALG, at(100), PERIOD));
        assert!(!refused.has(Some("0"), ALG, at(100), PERIOD));
        assert!(!refused.has(Some(&"x".repeat(300)), ALG, at(100), PERIOD));
    }

    #[test]
    fn a_clock_that_goes_back_forgets() {
        let mut refused = RefusedKeys::default();
        refused.remember(Some("a"), ALG, at(100));
        assert!(!refused.has(Some("a"), ALG, at(99), PERIOD));
    }
}

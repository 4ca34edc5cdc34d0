//! The memory of verdicts.
//!
//! What was found out is used again for the very same credentials alone, and no longer than the
//! token lives and what the verdict rests on holds: its key is in the issuer's set, and that set is
//! not too old. Both memories are bounded, and neither can push the other out: a flood of forged
//! tokens costs good ones nothing.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::cache::{Bounds, Cache, CacheKey, CacheSeed};
use super::caller::Caller;
use crate::config::Limits;
use crate::ids::IssuerId;
use crate::jose::jwk::KeyId;
use crate::keys::Keys;
use crate::reason::Reason;
use crate::resource::Target;
use crate::time::UnixNanos;

/// How many tokens with a wrong signature are remembered, and for how long.
const FORGED: Bounds = Bounds {
    entries: 1024,
    bytes: 1024 * 1024,
};
const FORGED_FOR: Duration = Duration::from_secs(60);

/// What one worker has found out about credentials.
pub(super) struct Memory {
    seed: CacheSeed,
    verified: Cache<Verified>,
    forged: Cache<KnownForged>,
}

/// What a verdict rests on: it falls with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grounds {
    /// This key of the caller's issuer.
    Key(KeyId),
    /// An answer of the caller's issuer, which ends with the verdict.
    Answer,
}

/// A token that was verified, and is right for its resource but for its scopes.
struct Verified {
    grounds: Grounds,
    validity: Range<UnixNanos>,
    caller: Rc<Caller>,
}

/// A token that none of the keys verified that it was tried with.
#[derive(Clone)]
pub(super) struct Forged {
    /// Whose token it pretends to be.
    pub(super) issuer: IssuerId,
    /// What it is refused for if its key is not a new one.
    pub(super) reason: Reason,
    pub(super) kid: Option<String>,
    /// When it was first seen: its key was published by then.
    pub(super) since: UnixNanos,
}

/// A forged token, and the keys of which that is known.
struct KnownForged {
    token: Forged,
    /// Of the issuer's keys.
    generation: u64,
    known: Range<UnixNanos>,
}

impl Memory {
    pub(super) fn new(limits: &Limits, random: [u64; 2]) -> Self {
        let verified = Bounds {
            entries: limits.cached_tokens,
            bytes: limits.cached_bytes,
        };
        let forged = Bounds {
            entries: FORGED.entries.min(verified.entries),
            ..FORGED
        };
        Self {
            seed: CacheSeed::new(random),
            verified: Cache::new(verified),
            forged: Cache::new(forged),
        }
    }

    /// The key under which these credentials are remembered for this target.
    pub(super) fn key<'a>(&self, target: Target<'a>, credentials: &'a [u8]) -> CacheKey<'a> {
        self.seed.key(target.id, target.bindings, credentials)
    }

    /// The caller of these credentials, if that was found out before and is still so.
    pub(super) fn recall(
        &mut self,
        key: CacheKey<'_>,
        keys: &mut Keys,
        now: UnixNanos,
    ) -> Option<Rc<Caller>> {
        let known = self.verified.get(key)?;
        let holds = known.validity.contains(&now)
            && match known.grounds {
                Grounds::Key(id) => keys.trusts(known.caller.issuer, id, now),
                Grounds::Answer => true,
            };
        if holds {
            return Some(Rc::clone(&known.caller));
        }
        self.verified.remove(key);
        None
    }

    pub(super) fn remember(
        &mut self,
        key: CacheKey<'_>,
        grounds: Grounds,
        validity: Range<UnixNanos>,
        caller: &Rc<Caller>,
    ) {
        if validity.is_empty() {
            return;
        }
        let known = Verified {
            grounds,
            validity,
            caller: Rc::clone(caller),
        };
        self.verified.insert(key, known, caller.bytes());
    }

    /// The forged token in these credentials, if no key of its issuer had signed it and the keys are
    /// still the same.
    pub(super) fn recall_forged(
        &mut self,
        key: CacheKey<'_>,
        keys: &mut Keys,
        now: UnixNanos,
    ) -> Option<Forged> {
        let known = self.forged.get(key)?;
        if !known.known.contains(&now) {
            self.forged.remove(key);
            return None;
        }
        let (issuer, generation) = (known.token.issuer, known.generation);
        let token = known.token.clone();
        keys.is_unchanged(issuer, generation, now).then_some(token)
    }

    /// The keys change, but not when the token was first seen.
    pub(super) fn remember_forged(
        &mut self,
        key: CacheKey<'_>,
        token: &mut Forged,
        generation: u64,
        until: UnixNanos,
        now: UnixNanos,
    ) {
        if let Some(known) = self.forged.get(key)
            && known.known.contains(&now)
        {
            token.since = token.since.min(known.token.since);
        }
        let known = KnownForged {
            token: token.clone(),
            generation,
            known: now..until.min(now.saturating_add(FORGED_FOR)),
        };
        let bytes = token.kid.as_ref().map_or(0, String::len);
        self.forged.insert(key, known, bytes);
    }

    /// How many tokens are remembered as verified, and how many bytes that takes about.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> (usize, usize) {
        (self.verified.len(), self.verified.bytes())
    }
}

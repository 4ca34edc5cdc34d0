//! One worker's part in what workers tell each other of tokens: see [`crate::introspection::shared`].
//!
//! A worker that wants to ask reads the shared entry first. An answer that holds is taken over. Who
//! finds nothing writes by compare-and-swap that it asks, then asks, and then writes the answer, or
//! that there is none; who finds that another worker asks looks again soon. A worker that never
//! tells what came of it is waited for no longer than a question takes. Only that a token is active
//! is told: the others ask by themselves about one that is not.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Answer, Asker, Open, Outbox, Step};
use crate::introspection::Purpose;
use crate::introspection::answer::{Said, read};
use crate::introspection::digest::TokenDigest;
use crate::introspection::shared::{Found, Place};
use crate::keys::SharedEntry;
use crate::keys::shared::{FOLLOW, MOST_TRIES};
use crate::time::UnixNanos;

pub(super) struct Sharing {
    /// All that is configured about the issuer.
    binding: String,
    /// The number of this worker among the others.
    worker: u64,
    publications: BTreeMap<TokenDigest, Publication>,
}

/// The end of a question, which the others are still to be told.
struct Publication {
    /// `None` if the issuer did not call the token active.
    answer: Option<Rc<Answer>>,
    tries: u8,
}

impl Sharing {
    fn place(&self, question: &TokenDigest) -> Place {
        Place::of(&self.binding, question)
    }

    fn publish(
        &mut self,
        question: TokenDigest,
        answer: Option<Rc<Answer>>,
        outbox: &mut Outbox<'_>,
    ) {
        let publication = Publication {
            answer,
            tries: MOST_TRIES,
        };
        self.publications.insert(question, publication);
        outbox.read_shared(question, Purpose::Tell, self.place(&question).key());
    }
}

impl Asker {
    /// From now on this worker tells others. Answers that are not remembered are not shared.
    pub(in crate::introspection) fn share(&mut self, worker: u64) {
        if !self.source.cache.is_zero() {
            self.sharing = Some(Sharing {
                // All of it, so that whatever becomes part of it binds too.
                binding: format!("1 {:?}", self.source),
                worker,
                publications: BTreeMap::new(),
            });
        }
    }

    /// Asks for the shared entry.
    pub(super) fn look(&mut self, at: usize, outbox: &mut Outbox<'_>) {
        if let (Some(open), Some(sharing)) = (self.open.get_mut(at), &self.sharing) {
            open.step = Step::Looks;
            outbox.read_shared(
                open.question,
                Purpose::Ask,
                sharing.place(&open.question).key(),
            );
        }
    }

    /// Has those whose time it is look again, as there is room.
    pub(super) fn look_again(&mut self, now: UnixNanos) {
        for open in &mut self.open {
            if let Step::Follows(again) = open.step {
                // A clock that went back must not delay it.
                let again = again.min(now.saturating_add(FOLLOW));
                open.step = if again <= now {
                    Step::Waits
                } else {
                    Step::Follows(again)
                };
            }
        }
    }

    /// A question has ended: the others are told, if they were told of the question.
    pub(super) fn conclude(
        &mut self,
        open: &Open,
        answer: Option<Rc<Answer>>,
        outbox: &mut Outbox<'_>,
    ) {
        if let Some(sharing) = self.sharing.as_mut().filter(|_| open.is_announced) {
            sharing.publish(open.question, answer, outbox);
        }
    }

    /// This worker ends: the others no longer wait for what it asks.
    pub(in crate::introspection) fn handle_shutdown(&mut self, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &mut self.sharing {
            for open in &mut self.open {
                if std::mem::take(&mut open.is_announced) {
                    sharing.publish(open.question, None, outbox);
                }
            }
        }
    }

    /// The shared entry of a token that is to be asked about was read; `None` where the host has none
    /// to share.
    pub(in crate::introspection) fn handle_look(
        &mut self,
        question: TokenDigest,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        self.act_on(question, entry, now, outbox);
        self.begin(now, outbox);
    }

    fn act_on(
        &mut self,
        question: TokenDigest,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let looks = |open: &Open| open.question == question && matches!(open.step, Step::Looks);
        let (Some(at), Some(sharing)) = (self.open.iter().position(looks), &self.sharing) else {
            return;
        };
        let Some(SharedEntry { value, version }) = entry else {
            return self.send(at, now, outbox);
        };
        let (place, worker) = (sharing.place(&question), sharing.worker);
        match place.read(&value, worker, self.longest(), now) {
            Found::Taken => self.send(at, now, outbox),
            Found::Asked => self.follow(at, now),
            Found::Active { body, at: stamp } if self.adopt(question, body, stamp, now) => {
                self.open.remove(at);
                outbox.wake(question);
            }
            Found::Free | Found::Mine | Found::Active { .. } => {
                let until = now.saturating_add(self.longest());
                let (Some(open), Some(value)) = (self.open.get_mut(at), place.asked(worker, until))
                else {
                    return;
                };
                open.step = Step::Announces;
                outbox.write_shared(question, Purpose::Ask, place.key(), value, version);
            }
        }
    }

    fn follow(&mut self, at: usize, now: UnixNanos) {
        if let Some(open) = self.open.get_mut(at) {
            open.step = Step::Follows(now.saturating_add(FOLLOW));
        }
    }

    /// Takes over an answer that another worker was given, if it holds.
    fn adopt(&mut self, question: TokenDigest, body: &[u8], at: UnixNanos, now: UnixNanos) -> bool {
        match read(body.to_vec()) {
            Ok(Said::Active(members)) if now < self.until(&members, at) => {
                self.remember(question, members, at);
                true
            }
            Ok(Said::Active(_) | Said::Inactive) | Err(_) => false,
        }
    }

    /// It was written as this worker had asked that it asks, or was not.
    pub(in crate::introspection) fn handle_announced(
        &mut self,
        question: TokenDigest,
        written: bool,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let announces =
            |open: &Open| open.question == question && matches!(open.step, Step::Announces);
        let at = self.open.iter().position(announces);
        match at.and_then(|at| Some((at, self.open.get_mut(at)?))) {
            Some((at, open)) if written => {
                open.is_announced = true;
                self.send(at, now, outbox);
            }
            Some((at, _)) => self.follow(at, now),
            None => {}
        }
        self.begin(now, outbox);
    }

    /// The shared entry was read in which it is to be told what came of a question.
    pub(in crate::introspection) fn handle_publication(
        &mut self,
        question: TokenDigest,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let longest = self.longest();
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        let Some(publication) = sharing.publications.get(&question) else {
            return;
        };
        let place = sharing.place(&question);
        let is_own = |entry: &SharedEntry| {
            place.read(&entry.value, sharing.worker, longest, now) == Found::Mine
        };
        let Some(SharedEntry { version, .. }) = entry.filter(is_own) else {
            // Another worker asks by now, or knows.
            sharing.publications.remove(&question);
            return;
        };
        let written = publication.answer.as_ref().and_then(|answer| {
            let text = answer.members.text().as_bytes();
            place.active(text, answer.at, answer.until)
        });
        let value = written.unwrap_or_else(|| b"\n".to_vec());
        outbox.write_shared(question, Purpose::Tell, place.key(), value, version);
    }

    /// It was written what came of a question, or was not.
    pub(in crate::introspection) fn handle_published(
        &mut self,
        question: TokenDigest,
        written: bool,
        outbox: &mut Outbox<'_>,
    ) {
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        match sharing.publications.get_mut(&question) {
            // What this worker has said runs out by itself if the others write faster.
            Some(publication) if !written && publication.tries > 0 => {
                publication.tries = publication.tries.saturating_sub(1);
                outbox.read_shared(question, Purpose::Tell, sharing.place(&question).key());
            }
            Some(_) | None => {
                sharing.publications.remove(&question);
            }
        }
    }
}

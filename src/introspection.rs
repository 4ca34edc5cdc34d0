//! Issuers that are asked about tokens (RFC 7662), without I/O and without a clock.
//!
//! [`Introspection`] has four kinds of methods: [`Introspection::find`] answers for one token; the
//! `handle_*` take in what happened; [`Introspection::next_command`] says what to do next;
//! [`Introspection::poll_timeout`] says when to call [`Introspection::handle_tick`] at the latest.
//!
//! What goes wrong says nothing of a token: only `"active": false` does. A client can cause some of
//! it, so it is charged to its token alone, and nothing here ever stops asking about others; how many
//! are asked about at once and in a second is bounded. An answer never holds for longer than is
//! configured, in an outage neither. Workers that [share](Introspection::share) tell each other which
//! of them asks about a token, and what the issuer said; the others ask for themselves.

mod answer;
mod ask_error;
mod asker;
mod digest;
mod endpoint;
mod memory;
mod shared;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::ids::IssuerId;
use crate::keys::{FetchError, FetchOutcome, SharedEntry};
use crate::time::UnixNanos;
use crate::url::HttpUrl;

use asker::Asker;

pub use answer::{Answer, AnswerFlaw, MAX_ANSWER_BYTES};
pub use ask_error::AskError;
pub use digest::TokenDigest;
pub use source::{EndpointSource, IntrospectionSource, Tokens};

/// One call, from its command to its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(u64);

/// A call that the filter's owner is to send through Envoy.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// To be handed back with the response.
    pub id: CallId,
    /// The Envoy cluster to call.
    pub cluster: String,
    /// What to call: its authority, path and query go into the request.
    pub url: HttpUrl,
    /// The form to POST; without one it is a GET.
    pub form: Option<Vec<u8>>,
    /// After which Envoy gives up.
    pub timeout: Duration,
}

/// The entry that workers share about one token: [`Command`]s name it, and their results are handed
/// back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    issuer: IssuerId,
    question: TokenDigest,
    purpose: Purpose,
}

/// The reason for which a shared entry is read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To find out whether to ask.
    Ask,
    /// To tell what came of a question.
    Tell,
}

/// Without the form: it has a token.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("cluster", &self.cluster)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// What to do next. Each is carried out once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send this.
    Call(Call),
    /// Read an entry of the host's shared data, and hand it to [`Introspection::handle_shared`].
    ReadShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
    },
    /// Write an entry of the host's shared data if it still has this version, and say to
    /// [`Introspection::handle_shared_written`] whether it had.
    WriteShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
        /// The value to write.
        value: Vec<u8>,
        /// The version that was read.
        version: u32,
    },
    /// Judge the requests that wait for this answer anew.
    Wake(IssuerId, TokenDigest),
    /// Tell the operator.
    Report(IssuerId, Event),
}

/// What an operator is told of an issuer that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It answered.
    Answered {
        /// What.
        active: bool,
    },
    /// A question brought no answer.
    Failed {
        /// Why.
        error: AskError,
        /// What was asked, escaped and cut, without its query.
        url: String,
    },
    /// Questions were not asked: too many are open, or were new within a second.
    TurnedAway {
        /// How many since this was last told.
        questions: u64,
    },
    /// The endpoint was found, or has moved.
    EndpointFound {
        /// Where it is, escaped and cut, without its query.
        url: String,
    },
    /// The endpoint was not found; the next try is after `retry_in`.
    EndpointFailed {
        /// Why: of several places that were asked, by the error that says most.
        error: FetchError,
        /// What was asked, escaped and cut, without its query.
        url: String,
        /// How long until the next one.
        retry_in: Duration,
    },
}

/// What is known of a token.
#[derive(Clone, Debug)]
pub enum Told {
    /// It is active, and the issuer says this of it.
    Active(Rc<Answer>),
    /// It is not active, or its issuer does not tell this client of it.
    Inactive,
    /// A question is open: judge the request again when woken.
    Wait(TokenDigest),
    /// Nobody can tell for now.
    Unavailable {
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}

/// Every issuer of a configuration that is asked.
pub struct Introspection {
    /// `None` for those that are not asked.
    issuers: Vec<Option<Asker>>,
    commands: VecDeque<Command>,
    next_call: u64,
}

impl Introspection {
    /// For one worker; `sources` are the issuers', in the order of their ids.
    pub fn new<'c>(sources: impl IntoIterator<Item = Option<&'c IntrospectionSource>>) -> Self {
        let sources = sources.into_iter();
        Self {
            issuers: sources.map(|source| source.map(Asker::new)).collect(),
            commands: VecDeque::new(),
            next_call: 0,
        }
    }

    /// What `issuer` says of the token of a request that `arrived` then.
    ///
    /// An answer holds for its time, and beside that for those who waited for it.
    pub fn find(
        &mut self,
        issuer: IssuerId,
        token: &[u8],
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Told {
        match self.issuers.get_mut(issuer.0) {
            Some(Some(asker)) => asker.find(token, arrived, now),
            Some(None) | None => Told::Unavailable {
                retry_after: Duration::from_secs(1),
            },
        }
    }

    /// Time has passed.
    pub fn handle_tick(&mut self, now: UnixNanos) {
        self.each(|asker, outbox| asker.handle_tick(now, outbox));
    }

    /// A call has ended. Late and repeated ends are ignored.
    pub fn handle_response(&mut self, call: CallId, outcome: FetchOutcome, now: UnixNanos) {
        let mut outcome = Some(outcome);
        self.each(|asker, outbox| {
            if asker.waits_for(call)
                && let Some(outcome) = outcome.take()
            {
                asker.handle_response(call, outcome, now, outbox);
            }
        });
    }

    /// From now on this worker shares with others what it is told. `worker` tells them apart.
    pub fn share(&mut self, worker: u64) {
        for asker in self.issuers.iter_mut().flatten() {
            asker.share(worker);
        }
    }

    /// A shared entry was read; `None` where the host has none to share.
    pub fn handle_shared(&mut self, id: EntryId, entry: Option<SharedEntry>, now: UnixNanos) {
        self.of(id.issuer, |asker, outbox| match id.purpose {
            Purpose::Ask => asker.handle_look(id.question, entry, now, outbox),
            Purpose::Tell => asker.handle_publication(id.question, entry, now, outbox),
        });
    }

    /// A shared entry was written as was asked, or was not.
    pub fn handle_shared_written(&mut self, id: EntryId, written: bool, now: UnixNanos) {
        self.of(id.issuer, |asker, outbox| match id.purpose {
            Purpose::Ask => asker.handle_announced(id.question, written, now, outbox),
            Purpose::Tell => asker.handle_published(id.question, written, outbox),
        });
    }

    /// This worker ends: its questions are left to another.
    pub fn handle_shutdown(&mut self) {
        self.each(|asker, outbox| asker.handle_shutdown(outbox));
    }

    fn of(&mut self, issuer: IssuerId, act: impl FnOnce(&mut Asker, &mut Outbox<'_>)) {
        let mut act = Some(act);
        self.each(|asker, outbox| {
            if outbox.id == issuer
                && let Some(act) = act.take()
            {
                act(asker, outbox);
            }
        });
    }

    fn each(&mut self, mut act: impl FnMut(&mut Asker, &mut Outbox<'_>)) {
        for (at, asker) in self.issuers.iter_mut().enumerate() {
            if let Some(asker) = asker {
                let mut outbox = Outbox {
                    commands: &mut self.commands,
                    next_call: &mut self.next_call,
                    id: IssuerId(at),
                };
                act(asker, &mut outbox);
            }
        }
    }

    /// What to do next, until it is `None`.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Introspection::handle_tick`] at the latest; `None` if never.
    pub fn poll_timeout(&self) -> Option<UnixNanos> {
        let askers = self.issuers.iter().flatten();
        askers.filter_map(Asker::poll_timeout).min()
    }
}

/// Where one issuer puts its commands.
struct Outbox<'a> {
    commands: &'a mut VecDeque<Command>,
    next_call: &'a mut u64,
    id: IssuerId,
}

impl Outbox<'_> {
    fn call(
        &mut self,
        cluster: &str,
        url: &HttpUrl,
        form: Option<Vec<u8>>,
        timeout: Duration,
    ) -> CallId {
        let id = CallId(*self.next_call);
        *self.next_call = self.next_call.wrapping_add(1);
        self.commands.push_back(Command::Call(Call {
            id,
            cluster: cluster.to_owned(),
            url: url.clone(),
            form,
            timeout,
        }));
        id
    }

    fn read_shared(&mut self, question: TokenDigest, purpose: Purpose, key: &str) {
        self.commands.push_back(Command::ReadShared {
            entry: self.entry(question, purpose),
            key: key.to_owned(),
        });
    }

    fn write_shared(
        &mut self,
        question: TokenDigest,
        purpose: Purpose,
        key: &str,
        value: Vec<u8>,
        version: u32,
    ) {
        self.commands.push_back(Command::WriteShared {
            entry: self.entry(question, purpose),
            key: key.to_owned(),
            value,
            version,
        });
    }

    fn entry(&self, question: TokenDigest, purpose: Purpose) -> EntryId {
        EntryId {
            issuer: self.id,
            question,
            purpose,
        }
    }

    fn wake(&mut self, question: TokenDigest) {
        self.commands.push_back(Command::Wake(self.id, question));
    }

    fn report(&mut self, event: Event) {
        self.commands.push_back(Command::Report(self.id, event));
    }
}

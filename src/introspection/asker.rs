//! One issuer, and what it is asked.

mod sharing;

use std::rc::Rc;
use std::time::Duration;

use super::answer::{Answer, Said, read};
use super::ask_error::AskError;
use super::digest::{TokenDigest, form};
use super::endpoint::Endpoint;
use super::memory::Memory;
use super::source::IntrospectionSource;
use super::{CallId, Event, Outbox, Told};
use crate::json::{Json, Object};
use crate::keys::FetchOutcome;
use crate::keys::backoff::CALLBACK_GRACE;
use crate::keys::fetch_error::shown;
use crate::rate_limit::RateLimit;
use crate::time::UnixNanos;
use sharing::Sharing;

/// How many questions are under way at once. Some servers take 0.4 s of CPU for each, and for
/// tokens that do not exist no less.
pub(super) const UNDER_WAY: usize = 16;
/// So many of them may be about tokens that were not active before: a flood of those leaves room for
/// the others.
pub(super) const UNDER_WAY_NEW: usize = 12;
/// How many questions of either kind are open at once, those under way and those that wait for it.
pub(super) const OPEN: usize = 128;
/// How many tokens that were not active before are asked about in a second.
pub(super) const NEW_PER_SECOND: u32 = 128;
/// The longest time for which a token is taken to be inactive: it may have been issued just now.
const INACTIVE: Duration = Duration::from_secs(5);
/// For how long a question that brought no answer is not asked again.
const FAILED: Duration = Duration::from_secs(1);
/// When a client may come again.
const RETRY: Duration = Duration::from_secs(1);
/// The bounds of the memories; what of it is used is remembered elsewhere, too.
const ACTIVE_BYTES: usize = 8 * 1024 * 1024;
const ACTIVE: usize = 4096;
const REFUSED: usize = 1024;

pub(super) struct Asker {
    source: IntrospectionSource,
    endpoint: Endpoint,
    /// In the order in which they came.
    open: Vec<Open>,
    /// Answers for tokens that are active; one that has ended says that its token was.
    active: Memory<Rc<Answer>>,
    refused: Memory<Refused>,
    new: RateLimit,
    /// How many questions were not asked for want of room, since this was last told.
    turned_away: u64,
    /// `None` if workers do not share.
    sharing: Option<Sharing>,
}

struct Open {
    question: TokenDigest,
    form: Vec<u8>,
    /// Whether the token was active before.
    known: bool,
    since: UnixNanos,
    step: Step,
    /// The others were told that this worker asks.
    is_announced: bool,
}

/// How far a question is.
enum Step {
    /// It waits for its turn.
    Waits,
    /// The shared entry is read.
    Looks,
    /// The shared entry is written: this worker asks.
    Announces,
    /// Another worker asks; the next look is then.
    Follows(UnixNanos),
    /// It was sent.
    Asked(UnderWay),
}

struct UnderWay {
    id: CallId,
    begun: UnixNanos,
    repeated: bool,
}

impl Open {
    fn under_way(&self) -> Option<&UnderWay> {
        match &self.step {
            Step::Asked(under_way) => Some(under_way),
            Step::Waits | Step::Looks | Step::Announces | Step::Follows(_) => None,
        }
    }

    fn under_way_mut(&mut self) -> Option<&mut UnderWay> {
        match &mut self.step {
            Step::Asked(under_way) => Some(under_way),
            Step::Waits | Step::Looks | Step::Announces | Step::Follows(_) => None,
        }
    }

    /// Whether it is sent, or about to be.
    fn takes_room(&self) -> bool {
        match self.step {
            Step::Looks | Step::Announces | Step::Asked(_) => true,
            Step::Waits | Step::Follows(_) => false,
        }
    }
}

struct Refused {
    inactive: bool,
    at: UnixNanos,
    until: UnixNanos,
}

impl Asker {
    pub(super) fn new(source: &IntrospectionSource) -> Self {
        Self {
            endpoint: Endpoint::new(source),
            source: source.clone(),
            open: Vec::new(),
            active: Memory::new(ACTIVE, ACTIVE_BYTES),
            refused: Memory::new(REFUSED, usize::MAX),
            new: RateLimit::new(NEW_PER_SECOND),
            turned_away: 0,
            sharing: None,
        }
    }

    pub(super) fn find(&mut self, token: &[u8], arrived: UnixNanos, now: UnixNanos) -> Told {
        let question = TokenDigest::of(token);
        let holds = |at, until| at <= now && (now < until || arrived <= at);
        let active = self.active.get(&question);
        if let Some(answer) = active.filter(|answer| holds(answer.at, answer.until)) {
            return Told::Active(Rc::clone(answer));
        }
        let known = active.is_some();
        match self.refused.get(&question) {
            Some(refused) if !holds(refused.at, refused.until) => {}
            Some(Refused { inactive: true, .. }) => return Told::Inactive,
            Some(_) => return Told::Unavailable { retry_after: RETRY },
            None => {}
        }
        if self.open.iter().any(|open| open.question == question) {
            return Told::Wait(question);
        }
        if !self.endpoint.is_coming(now) {
            return Told::Unavailable { retry_after: RETRY };
        }
        if !self.has_room(known) {
            self.turned_away = self.turned_away.saturating_add(1);
            return Told::Unavailable { retry_after: RETRY };
        }
        self.open.push(Open {
            question,
            form: form(token),
            known,
            since: now,
            step: Step::Waits,
            is_announced: false,
        });
        Told::Wait(question)
    }

    /// Tokens that were active before have room of their own, so that no flood of others keeps them
    /// out.
    fn has_room(&mut self, known: bool) -> bool {
        let open = self.open.iter().filter(|open| open.known == known).count();
        open < OPEN && (known || self.new.take())
    }

    pub(super) fn waits_for(&self, call: CallId) -> bool {
        self.endpoint.waits_for(call) || self.place(call).is_some()
    }

    fn place(&self, call: CallId) -> Option<usize> {
        let is_it = |open: &Open| {
            open.under_way()
                .is_some_and(|under_way| under_way.id == call)
        };
        self.open.iter().position(is_it)
    }

    fn lost_at(&self, begun: UnixNanos) -> UnixNanos {
        begun.saturating_add(self.longest())
    }

    /// The longest time that a question takes.
    fn longest(&self) -> Duration {
        self.source.timeout.saturating_add(CALLBACK_GRACE)
    }

    pub(super) fn poll_timeout(&self) -> Option<UnixNanos> {
        let waits = self.next_to_ask().is_some() && self.endpoint.url().is_some();
        let due = self.open.iter().filter_map(|open| match &open.step {
            Step::Asked(under_way) => Some(self.lost_at(under_way.begun)),
            Step::Follows(again) => Some(*again),
            Step::Waits | Step::Looks | Step::Announces => None,
        });
        let told = waits.then_some(UnixNanos::ZERO);
        self.endpoint
            .poll_timeout()
            .into_iter()
            .chain(due)
            .chain(told)
            .min()
    }

    pub(super) fn handle_tick(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        self.new.handle_tick(now);
        if self.turned_away > 0 {
            outbox.report(Event::TurnedAway {
                questions: self.turned_away,
            });
            self.turned_away = 0;
        }
        if self.endpoint.handle_tick(now, outbox) {
            self.give_up(now, outbox);
        }
        self.end_overdue(now, outbox);
        self.look_again(now);
        self.begin(now, outbox);
    }

    /// Ends questions whose callback was lost, and those that nobody can be waiting for any more.
    fn end_overdue(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let longest = self.longest();
        let mut at = 0;
        while let Some(open) = self.open.get_mut(at) {
            // A clock that went back must not keep a question open for ever.
            open.since = open.since.min(now);
            let since = open.since;
            let longest_wait = match open.step {
                // The worker that asks may have begun later.
                Step::Follows(_) => longest.saturating_add(CALLBACK_GRACE),
                Step::Waits | Step::Looks | Step::Announces | Step::Asked(_) => self.source.timeout,
            };
            let begun = open.under_way_mut().map(|under_way| {
                under_way.begun = under_way.begun.min(now);
                under_way.begun
            });
            match begun {
                Some(begun) if self.lost_at(begun) <= now => {
                    let open = self.open.remove(at);
                    self.conclude(&open, None, outbox);
                    self.fail(open.question, AskError::Lost, now, outbox);
                }
                None if since.saturating_add(longest_wait) <= now => {
                    self.open.remove(at);
                }
                Some(_) | None => at = at.saturating_add(1),
            }
        }
    }

    pub(super) fn handle_response(
        &mut self,
        call: CallId,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        if self.endpoint.waits_for(call) {
            if self.endpoint.handle_response(outcome, now, outbox) {
                self.give_up(now, outbox);
            }
        } else if let Some(at) = self.place(call) {
            self.handle_answer(at, outcome, now, outbox);
        }
        self.begin(now, outbox);
    }

    fn handle_answer(
        &mut self,
        at: usize,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let said = said(outcome);
        if let Err(error) = said
            && error.is_reset()
            && self.repeat(at, now, outbox)
        {
            return;
        }
        let open = self.open.remove(at);
        let question = open.question;
        match said {
            Err(error) => {
                if error == AskError::Status(404) {
                    self.endpoint.is_misplaced(now);
                }
                self.conclude(&open, None, outbox);
                return self.fail(question, error, now, outbox);
            }
            Ok(Said::Active(members)) => {
                let answer = self.remember(question, members, now);
                self.conclude(&open, Some(answer), outbox);
                outbox.report(Event::Answered { active: true });
            }
            Ok(Said::Inactive) => {
                self.active.remove(&question);
                let refused = Refused {
                    inactive: true,
                    at: now,
                    until: now.saturating_add(self.source.cache.min(INACTIVE)),
                };
                self.refused.insert(question, refused, 0);
                self.conclude(&open, None, outbox);
                outbox.report(Event::Answered { active: false });
            }
        }
        outbox.wake(question);
    }

    /// Remembers what the issuer said `at` that time of a token that is active.
    fn remember(&mut self, question: TokenDigest, members: Object, at: UnixNanos) -> Rc<Answer> {
        self.refused.remove(&question);
        let bytes = members.bytes();
        let answer = Rc::new(Answer {
            until: self.until(&members, at),
            members,
            at,
        });
        self.active.insert(question, Rc::clone(&answer), bytes);
        answer
    }

    /// An answer holds for as long as is configured, but not beyond the token's own end.
    fn until(&self, members: &Object, at: UnixNanos) -> UnixNanos {
        let until = at.saturating_add(self.source.cache);
        let expires = members.get("exp").and_then(whole_seconds);
        expires.map_or(until, |expires| until.min(UnixNanos::from_secs(expires)))
    }

    /// Asks once more, in the time that is left.
    fn repeat(&mut self, at: usize, now: UnixNanos, outbox: &mut Outbox<'_>) -> bool {
        let timeout = self.source.timeout;
        let (Some(open), Some(url)) = (self.open.get_mut(at), self.endpoint.url()) else {
            return false;
        };
        let Step::Asked(under_way) = &mut open.step else {
            return false;
        };
        if under_way.repeated {
            return false;
        }
        let left = timeout.saturating_sub(now.since(under_way.begun));
        if left.is_zero() {
            return false;
        }
        under_way.repeated = true;
        under_way.id = outbox.call(&self.source.cluster, url, Some(open.form.clone()), left);
        true
    }

    fn fail(
        &mut self,
        question: TokenDigest,
        error: AskError,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let url = self.endpoint.url().map(shown).unwrap_or_default();
        outbox.report(Event::Failed { error, url });
        self.remember_failure(question, now, outbox);
    }

    /// Nobody knows where to ask.
    fn give_up(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        for open in std::mem::take(&mut self.open) {
            self.conclude(&open, None, outbox);
            self.remember_failure(open.question, now, outbox);
        }
    }

    /// A failure is charged to its token alone: a client may be able to cause it.
    fn remember_failure(&mut self, question: TokenDigest, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let refused = Refused {
            inactive: false,
            at: now,
            until: now.saturating_add(FAILED),
        };
        self.refused.insert(question, refused, 0);
        outbox.wake(question);
    }

    /// Sends questions as long as there is room, or looks first whether another worker has.
    fn begin(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        while let (Some(at), Some(_)) = (self.next_to_ask(), self.endpoint.url()) {
            if self.sharing.is_some() {
                self.look(at, outbox);
            } else {
                self.send(at, now, outbox);
            }
        }
    }

    fn send(&mut self, at: usize, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let (Some(open), Some(url)) = (self.open.get_mut(at), self.endpoint.url()) else {
            return;
        };
        let form = Some(open.form.clone());
        open.step = Step::Asked(UnderWay {
            id: outbox.call(&self.source.cluster, url, form, self.source.timeout),
            begun: now,
            repeated: false,
        });
    }

    /// The question that is to be sent next, if there is room for one.
    fn next_to_ask(&self) -> Option<usize> {
        let under_way = |known: bool| {
            let asked = |open: &&Open| open.takes_room() && open.known == known;
            self.open.iter().filter(asked).count()
        };
        let first = |known: bool| {
            let waits = |open: &Open| matches!(open.step, Step::Waits) && open.known == known;
            self.open.iter().position(waits)
        };
        let (known, new) = (under_way(true), under_way(false));
        if known.saturating_add(new) >= UNDER_WAY {
            return None;
        }
        first(true).or_else(|| first(false).filter(|_| new < UNDER_WAY_NEW))
    }
}

/// Without a fraction, which some servers have.
fn whole_seconds(date: Json<'_>) -> Option<u64> {
    date.whole_number().or_else(|| {
        let seconds = date.number()?;
        // The cast is exact in this range.
        (0.0..1e15).contains(&seconds).then_some(seconds as u64)
    })
}

fn said(outcome: FetchOutcome) -> Result<Said, AskError> {
    match outcome {
        FetchOutcome::Response {
            status: 200, body, ..
        } => read(body).map_err(AskError::Answer),
        FetchOutcome::Response { status, .. } => Err(AskError::Status(status)),
        FetchOutcome::TooLarge => Err(AskError::Answer(super::AnswerFlaw::TooLarge)),
        FetchOutcome::Failed => Err(AskError::Failed),
    }
}

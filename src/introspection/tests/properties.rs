//! Any order of events.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Find(u8),
    Pass(u64),
    Back(u64),
    /// The how-manieth call under way ends, and how.
    Answer(usize, u8),
    Lose(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..40).prop_map(Step::Find),
        4 => (0_u64..4000).prop_map(Step::Pass),
        1 => (0_u64..100_000).prop_map(Step::Back),
        6 => (any::<usize>(), 0_u8..6).prop_map(|(which, how)| Step::Answer(which, how)),
        1 => any::<usize>().prop_map(Step::Lose),
    ];
    prop::collection::vec(step, 0..150)
}

proptest! {
    /// Whatever happens, and whatever the clock does: the bounds hold, no token is asked about
    /// twice at a time, a token is taken to be active only if the issuer said so within the time
    /// that is configured, and whoever waits is woken or the wait is over.
    #[test]
    fn no_order_of_events_breaks_a_promise(steps in steps()) {
        let mut world = World::new(&source());
        let mut under_way: BTreeMap<CallId, (Vec<u8>, UnixNanos)> = BTreeMap::new();
        let mut said_active: BTreeMap<u8, UnixNanos> = BTreeMap::new();
        let mut waiting: BTreeMap<u8, UnixNanos> = BTreeMap::new();
        let mut went_back = false;
        for step in steps {
            let mut calls = Vec::new();
            match step {
                Step::Find(name) => match world.find(&format!("token{name:02}")) {
                    Seen::Active => {
                        let at = said_active.get(&name).copied();
                        prop_assert!(at.is_some_and(|at| at <= world.now));
                        prop_assert!(at.is_some_and(|at| world.now.since(at) < Duration::from_secs(CACHE)));
                    }
                    Seen::Wait => {
                        waiting.entry(name).or_insert(world.now);
                    }
                    Seen::Inactive | Seen::Unavailable => {}
                },
                Step::Pass(millis) => world.pass(millis),
                Step::Back(millis) => {
                    went_back = true;
                    world.now = world.now.saturating_sub(Duration::from_millis(millis));
                }
                Step::Answer(which, how) => {
                    let Some(id) = under_way.keys().nth(which % under_way.len().max(1)).copied() else {
                        continue;
                    };
                    let (form, _) = under_way.remove(&id).unwrap();
                    let name: u8 = String::from_utf8(form[11..13].to_vec()).unwrap().parse().unwrap();
                    let outcome = match how {
                        0 | 1 => says(ACTIVE),
                        2 => says(INACTIVE),
                        3 => FetchOutcome::Failed,
                        4 => status(500, ""),
                        _ => says("{}"),
                    };
                    if how < 2 {
                        said_active.insert(name, world.now);
                    }
                    world.machine.handle_response(id, outcome, world.now);
                    calls = world.calls();
                }
                Step::Lose(which) => {
                    let id = under_way.keys().nth(which % under_way.len().max(1)).copied();
                    if let Some(id) = id {
                        under_way.remove(&id);
                    }
                }
            }
            calls.extend(world.tick());
            for call in calls {
                under_way.insert(call.id, (call.form.unwrap(), world.now));
            }
            // A call whose callback was lost is open until its time is over, so what is known to be
            // under way is at most what is.
            let longest = Duration::from_secs(TIMEOUT + 2);
            if !went_back {
                let now = world.now;
                under_way.retain(|_, (_, begun)| now.since(*begun) < longest);
                prop_assert!(under_way.len() <= UNDER_WAY);
                let distinct: BTreeSet<_> = under_way.values().map(|(form, _)| form).collect();
                prop_assert_eq!(distinct.len(), under_way.len());
            }
            for question in std::mem::take(&mut world.woken) {
                waiting.retain(|name, _| TokenDigest::of(format!("token{name:02}").as_bytes()) != question);
            }
            if let Some(due) = world.machine.poll_timeout() {
                prop_assert!(due > world.now || due == UnixNanos::ZERO);
            }
        }
        // In the end nobody is left.
        for _ in 0..40 {
            world.pass(1000);
            world.tick();
        }
        prop_assert_eq!(world.machine.poll_timeout(), None);
    }
}

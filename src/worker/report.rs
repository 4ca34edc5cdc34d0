//! The log's lines on an issuer: on its keys, and on what it says of tokens.

use log::{debug, info, warn};

use super::refusal_log::RefusalLog;
use crate::introspection;
use crate::keys::Event;

/// Tells the operator what has happened to the keys of the issuer `name`.
pub(super) fn keys(name: &str, event: &Event) {
    match event {
        Event::Refreshed { keys, refresh } => info!(
            "keys: issuer {name}: {keys} keys fetched, fresh for {} s",
            refresh.as_secs()
        ),
        Event::Adopted { keys } => {
            debug!("keys: issuer {name}: {keys} keys taken over from another worker");
        }
        Event::StaleUse { verdicts } => {
            debug!("keys: issuer {name}: {verdicts} requests judged by keys that are overdue");
        }
        Event::KeySkipped(key) => warn!("keys: issuer {name}: {key}"),
        Event::MetadataFailed {
            error,
            url,
            retry_in,
        } => {
            warn!(
                "metadata: issuer {name}: {error}, from {url}; next try in {} ms",
                retry_in.as_millis()
            );
        }
        Event::FetchFailed {
            error,
            url,
            retry_in,
        } => {
            warn!(
                "keys: issuer {name}: {error}, from {url}; next try in {} ms",
                retry_in.as_millis()
            );
        }
    }
}

/// Tells the operator how the introspection of the issuer `name` goes.
pub(super) fn introspection(name: &str, event: &introspection::Event, refusals: &mut RefusalLog) {
    use introspection::Event;
    match event {
        Event::Answered { active } => debug!("introspection: issuer {name}: active {active}"),
        // Clients can cause these at will, so the lines have a bound; counters have all.
        Event::Failed { .. } | Event::TurnedAway { .. } if !refusals.may_tell_question() => {}
        Event::Failed { error, url } => warn!("introspection: issuer {name}: {error}, from {url}"),
        Event::TurnedAway { questions } => warn!(
            "introspection: issuer {name}: {questions} questions not asked: too many at once, or too many new tokens in a second"
        ),
        Event::EndpointFound { url } => {
            info!("introspection: issuer {name}: the endpoint is {url}");
        }
        Event::EndpointFailed {
            error,
            url,
            retry_in,
        } => warn!(
            "introspection: issuer {name}: no endpoint: {error}, from {url}; next try in {} ms",
            retry_in.as_millis()
        ),
    }
}

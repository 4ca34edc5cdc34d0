//! The metadata paths: a resource's own document, and its issuer's.

use super::{Decision, Request, reply};
use crate::config::Mode;
use crate::ids::IssuerId;
use crate::keys::{Keys, Mirrored};
use crate::trust::Awaited;

impl Request<'_> {
    /// The metadata document of the resource.
    pub(super) fn metadata(&self) -> Decision {
        match self.head.method() {
            b"GET" | b"HEAD" => {
                Decision::Answer(reply::metadata(self.target.resource, self.target.bindings))
            }
            _ => self.no_document(),
        }
    }

    /// The metadata of an authorization server, on the host of the resource.
    pub(super) fn issuer_metadata(&self, issuer: Option<IssuerId>, keys: &mut Keys) -> Decision {
        let Some(issuer) = issuer else {
            return Decision::Answer(reply::not_found());
        };
        match self.head.method() {
            b"GET" | b"HEAD" => match keys.issuer_metadata(issuer, self.now) {
                // Observing never delays a request.
                Mirrored::Wait if self.config.mode == Mode::Enforce => {
                    Decision::Wait(Awaited::Keys(issuer))
                }
                Mirrored::Document(document) => Decision::Answer(
                    reply::issuer_metadata(document)
                        .unwrap_or_else(reply::issuer_metadata_unavailable),
                ),
                Mirrored::Wait | Mirrored::Unavailable => {
                    Decision::Answer(reply::issuer_metadata_unavailable())
                }
            },
            _ => self.no_document(),
        }
    }

    /// A method that a document does not have.
    fn no_document(&self) -> Decision {
        match self.config.mode {
            Mode::Observe => Decision::Unanswered(self.edits(None)),
            Mode::Enforce if self.is_preflight() => Decision::Answer(reply::metadata_preflight()),
            Mode::Enforce => Decision::Answer(reply::method_not_allowed()),
        }
    }
}

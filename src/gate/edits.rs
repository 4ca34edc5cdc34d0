//! What is changed in a request before it is forwarded: identity in, token out.

use super::Request;
use crate::claim;
use crate::config::Mode;
use crate::mcp::lists::Lists;
use crate::token::Claims;

/// What is changed in a request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Headers to remove: the token, and whatever a server could take for an identity header.
    pub remove: Vec<String>,
    /// Headers to set, in place of all of their name.
    pub set: Vec<(String, String)>,
    /// What filter state says of the caller: for access logs, and for filters behind this one.
    pub caller: Vec<(CallerFact, String)>,
    /// What is taken out of the response.
    pub lists: Option<Lists>,
}

/// What filter state says of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFact {
    /// `sub`
    Subject,
    /// `client_id`, or `azp` where there is none.
    Client,
    /// `iss`
    Issuer,
    /// The scopes, with spaces between them.
    Scopes,
}

impl CallerFact {
    /// Its name in filter state, behind `wasm.`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subject => "mcp_auth_subject",
            Self::Client => "mcp_auth_client",
            Self::Issuer => "mcp_auth_issuer",
            Self::Scopes => "mcp_auth_scopes",
        }
    }
}

impl Request<'_> {
    /// For a request of a caller who is known by `claims`, or of one who is not.
    pub(super) fn edits(&self, claims: Option<&Claims>) -> Edits {
        let set: Vec<(String, String)> = claims
            .into_iter()
            .flat_map(|claims| {
                self.resource.identity_headers.iter().filter_map(|header| {
                    Some((
                        header.name.clone(),
                        claim::header_value(&header.claim, claims)?,
                    ))
                })
            })
            .collect();
        let hides_token = claims.is_some() && !self.resource.forward_token;
        let reads_response = claims.is_some() && self.filters_lists();
        let remove = self
            .head
            .names()
            .filter(|name| {
                (hides_token && *name == "authorization")
                    || (reads_response && *name == "accept-encoding")
                    || (self
                        .resource
                        .identity_headers
                        .iter()
                        .any(|header| folds_to(name, &header.name))
                        && !set.iter().any(|(set, _)| set == name))
            })
            .map(str::to_owned)
            .collect();
        let caller = claims.map(caller).unwrap_or_default();
        Edits {
            remove,
            set,
            caller,
            lists: None,
        }
    }

    /// Whether responses are read. Who only observes changes nothing.
    pub(super) fn filters_lists(&self) -> bool {
        self.resource.filter_lists && self.config.mode == Mode::Enforce
    }
}

fn caller(claims: &Claims) -> Vec<(CallerFact, String)> {
    let text = |name: &str| {
        let value = claims.get(&[name.to_owned()])?.as_str()?;
        Some(claim::encode(value))
    };
    let scopes: Vec<&str> = claims.scopes().collect();
    [
        (CallerFact::Subject, text("sub")),
        (
            CallerFact::Client,
            text("client_id").or_else(|| text("azp")),
        ),
        (CallerFact::Issuer, text("iss")),
        (CallerFact::Scopes, Some(claim::encode(&scopes.join(" ")))),
    ]
    .into_iter()
    .filter_map(|(fact, value)| Some((fact, value?)))
    .collect()
}

/// Whether a server that folds header names (CGI makes all but letters and digits one) could take
/// `name` for `header`.
fn folds_to(name: &str, header: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte.to_ascii_lowercase()
        } else {
            b'-'
        }
    };
    name.len() == header.len() && name.bytes().map(fold).eq(header.bytes().map(fold))
}

//! The protected resources: which one a request belongs to, and what its metadata says.

pub mod host;
pub mod metadata;
pub mod path;
#[cfg(test)]
mod tests;
pub mod withheld;

use std::sync::Arc;

use crate::claim::{ClaimPath, ClaimRule};
use crate::config::{Config, IssuerId, ResourceId};
use crate::mcp::{Needs, Operation, OperationRule};
use crate::reason::Reason;
use crate::scope::ScopeHierarchy;
use crate::template::Template;
use crate::trust::CallerFact;

use host::{Authority, Hosts};
use path::{Bindings, PathMatch, PathPattern, RequestPath};

/// Where RFC 9728 §3.1 puts a resource's metadata: between host and path.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A protected resource (RFC 9728 §1.2) and what it asks of a request.
#[derive(Debug)]
pub struct Resource {
    /// The identifier as configured: the label of logs and counters.
    pub label: String,
    /// The identifier (RFC 8707 §2): the audience of its tokens.
    pub identifier: Template,
    /// The paths that belong to it.
    pub pattern: PathPattern,
    /// The hosts that it is served on.
    pub hosts: Hosts,
    /// Whose tokens it accepts.
    pub issuers: Vec<IssuerId>,
    /// The scopes that every request needs.
    pub scopes: Vec<String>,
    /// What single operations need beyond that.
    pub operations: Vec<OperationRule>,
    /// Whether lists lose the entries that their reader may not use.
    pub filter_lists: bool,
    /// Which scopes imply others.
    pub scope_hierarchy: ScopeHierarchy,
    /// What claims must say.
    pub require_claims: Vec<ClaimRule>,
    /// The only origins of browsers that are served; `None` for all.
    pub allowed_origins: Option<Vec<String>>,
    /// What filter state says of the client.
    pub filter_state: Vec<CallerFact>,
    /// What the server is told of the client.
    pub identity_headers: Vec<IdentityHeader>,
    /// The headers that it gets from nobody else.
    pub withheld: withheld::Withheld,
    /// Whether the server gets the token itself.
    pub forward_token: bool,
    /// Whether CORS is answered here.
    pub cors: bool,
    /// Where the metadata is found, and what it says.
    pub metadata: metadata::Metadata,
    /// The metadata of an issuer of its, served on its hosts.
    pub mirror: Option<metadata::Mirror>,
}

impl Resource {
    /// Whether a token with the scopes `granted` has what the rules ask for this operation.
    pub fn allows(&self, operation: &Operation, granted: &[String]) -> bool {
        self.operations
            .iter()
            .filter(|rule| rule.matches(operation))
            .all(|rule| match &rule.needs {
                Needs::Nothing => false,
                Needs::Scopes(scopes) => scopes
                    .iter()
                    .all(|scope| self.scope_hierarchy.grants(granted, scope)),
            })
    }
}

/// A claim that is handed to the server in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// Where the value comes from.
    pub claim: ClaimPath,
    /// The header's name, in lower case.
    pub name: Arc<str>,
}

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// No resource: none of our business.
    Foreign,
    /// A resource's metadata document.
    Metadata(ResourceId, Bindings),
    /// The metadata of an issuer, mirrored on a resource's host; `None` for a path below it.
    Mirror(ResourceId, Option<IssuerId>),
    /// A resource itself.
    Protected(ResourceId, Bindings),
    /// It cannot be told for certain, and might be for this resource.
    Unclear(ResourceId, Reason),
}

fn mirrored(config: &Config, path: &RequestPath<'_>, authority: Authority<'_>) -> Route {
    let mut found = Route::Foreign;
    for id in &config.by_specificity {
        let Some(resource) = config.resource(*id) else {
            continue;
        };
        let Some(mirror) = &resource.mirror else {
            continue;
        };
        if resource.hosts.admits(authority) != Some(true) {
            continue;
        }
        match mirror.request(path) {
            Some(true) => return Route::Mirror(*id, Some(mirror.issuer)),
            Some(false) => found = Route::Mirror(*id, None),
            None => {}
        }
    }
    found
}

/// The paths at which resources stand: most requests have just such a one, and [`route`] need not
/// take it apart to know whose it is.
#[derive(Debug, Default)]
pub struct UsualPaths(Vec<(String, ResourceId)>);

impl UsualPaths {
    /// As these resources are placed where no authority is read.
    pub fn of(config: &Config) -> Self {
        let resources = config.resources.iter();
        let usual = resources.filter_map(|resource| {
            let path = resource.pattern.literal()?;
            let placed = place(config, path.as_bytes(), Authority::NotRead);
            let Route::Protected(id, bindings) = placed else {
                return None;
            };
            (bindings == Bindings::default()).then_some((path, id))
        });
        Self(usual.collect())
    }

    fn get(&self, path: &[u8]) -> Option<ResourceId> {
        let mut usual = self.0.iter();
        usual
            .find(|(usual, _)| usual.as_bytes() == path)
            .map(|(_, id)| *id)
    }
}

/// Finds whom a request is for. `authority` is looked at where a resource has `hosts`.
///
/// Of several resources the most specific one wins; one reading of the path that might belong to
/// any resource makes the whole request unclear.
pub fn route(config: &Config, path: &[u8], authority: Authority<'_>) -> Route {
    match config.usual_paths.get(path) {
        Some(id) if authority == Authority::NotRead => Route::Protected(id, Bindings::default()),
        Some(_) | None => place(config, path, authority),
    }
}

fn place(config: &Config, path: &[u8], authority: Authority<'_>) -> Route {
    let path = &RequestPath::new(path);
    let served = |id: &ResourceId| config.resource(*id).map(|resource| (*id, resource));
    for (id, resource) in config.by_specificity.iter().filter_map(served) {
        if resource.hosts.admits(authority) == Some(true)
            && let Some(bindings) = resource.metadata.request(path, config.resources.len() == 1)
        {
            return Route::Metadata(id, bindings);
        }
    }
    let mirrored = mirrored(config, path, authority);
    if mirrored != Route::Foreign {
        return mirrored;
    }
    let mut found = Route::Foreign;
    let mut is_suffixed = None;
    for (id, resource) in config.by_specificity.iter().filter_map(served) {
        let admitted = resource.hosts.admits(authority);
        let (bindings, suffixed) = match path.matches(&resource.pattern) {
            PathMatch::None => continue,
            PathMatch::Exact(_) | PathMatch::Suffixed(_) | PathMatch::Ambiguous
                if admitted == Some(false) =>
            {
                continue;
            }
            PathMatch::Ambiguous => return Route::Unclear(id, Reason::PathAmbiguous),
            PathMatch::Exact(_) | PathMatch::Suffixed(_) if admitted.is_none() => {
                return Route::Unclear(id, Reason::HostInvalid);
            }
            PathMatch::Exact(bindings) => (bindings, None),
            PathMatch::Suffixed(bindings) => (bindings, Some(resource.pattern.specificity())),
        };
        // `/v1.1` is its own resource beside `/v1`, but `/mcp.json` is nobody's beside `/` and `/mcp`.
        let is_named = suffixed.is_none() && is_suffixed == Some(resource.pattern.specificity());
        if found == Route::Foreign || is_named {
            found = Route::Protected(id, bindings);
            is_suffixed = suffixed;
        } else if is_suffixed.is_some() {
            return Route::Unclear(id, Reason::PathAmbiguous);
        }
    }
    found
}

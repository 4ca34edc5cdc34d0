//! Fields that are allowed and do nothing, or another thing than they seem to say. Warnings alone: what
//! loaded once goes on loading.

use super::checks::warn;
use crate::config::Issuer;
use crate::config::words::quoted;
use crate::resource::Resource;
use crate::resource::host::{Admission, Authority, Hosts};
use crate::resource::path::PathPattern;
use crate::scope::ScopeHierarchy;
use crate::url::HttpUrl;

/// Two issuers that differ in a slash only: an issuer's tokens have one of the two.
pub(super) fn issuers_apart(issuers: &[Issuer], warnings: &mut Vec<String>) {
    let names = issuers.iter().map(|issuer| issuer.policy.issuer.as_str());
    for (at, name) in names.clone().enumerate() {
        let bare = name.trim_end_matches('/');
        let mut before = names.clone().take(at);
        if let Some(other) = before.position(|other| other.trim_end_matches('/') == bare) {
            warn(
                warnings,
                &format!("issuers[{at}].issuer"),
                &format!(
                    "it differs from that of issuers[{other}] in a final slash only: tokens have one of the two, byte for byte"
                ),
            );
        }
    }
}

/// Two resources with one identifier: one audience, and one metadata document.
pub(super) fn resources_apart(resources: &[Resource], warnings: &mut Vec<String>) {
    for (at, resource) in resources.iter().enumerate() {
        let mut before = resources.iter().take(at);
        if let Some(other) = before.position(|other| other.label == resource.label) {
            warn(
                warnings,
                &format!("resources[{at}].resource"),
                &format!(
                    "resources[{other}] has it too: a token for one is good for both, and clients get the metadata of one of them"
                ),
            );
        }
    }
}

/// `hosts` without the host of the resource's own URL.
pub(super) fn own_host(field: &str, hosts: &Hosts, url: &HttpUrl, warnings: &mut Vec<String>) {
    let own = url.authority();
    if hosts.admit(Authority::Present(own.as_bytes())) != Admission::Granted {
        let text = format!(
            "{own}, the host of `resource`, is not among them: requests for it are not this resource's, and pass without a token"
        );
        warn(warnings, field, &text);
    }
}

/// `scopes_supported` without what every request needs.
pub(super) fn supported_scopes(
    field: &str,
    needed: &[String],
    supported: &[String],
    hierarchy: &ScopeHierarchy,
    warnings: &mut Vec<String>,
) {
    for scope in needed {
        if !hierarchy.grants(supported, scope) {
            let text = format!(
                "{scope} is not among them, and every request needs it (`scopes`): clients that ask for what the metadata name do not get it"
            );
            warn(warnings, field, &text);
        }
    }
}

/// Scopes that imply themselves by way of others.
pub(super) fn cycles(field: &str, hierarchy: &ScopeHierarchy, warnings: &mut Vec<String>) {
    let equal: Vec<&str> = hierarchy
        .implied()
        .filter(|(scope, broader)| broader.contains(*scope))
        .map(|(scope, _)| scope)
        .collect();
    if !equal.is_empty() {
        let equal = equal.join(", ");
        let text =
            format!("a cycle: {equal} imply themselves, so those of one cycle are one scope");
        warn(warnings, field, &text);
    }
}

/// Variables of the path that neither the audience nor a claim binds.
pub(super) fn free_variables<'a>(
    field: &str,
    pattern: &PathPattern,
    identifier: &str,
    claim_values: impl Iterator<Item = &'a String> + Clone,
    warnings: &mut Vec<String>,
) {
    for name in pattern.variables() {
        let variable = format!("{{{name}}}");
        let bound = identifier.contains(&variable)
            || claim_values.clone().any(|value| value.contains(&variable));
        if !bound {
            let text = format!(
                "{variable} is not in `resource`, and no claim must have it: a token for one value of it is good for all"
            );
            warn(warnings, field, &text);
        }
    }
}

/// A claim's name with dots, which elsewhere is the path of a member.
pub(super) fn dotted_claim(field: &str, claim: &str, warnings: &mut Vec<String>) {
    let is_uri = claim.contains([':', '/']);
    if !is_uri && claim.contains(['.', '[']) {
        let pointer = claim.replace(['.', '['], "/").replace(']', "");
        let pointer = pointer.trim_start_matches(['$', '/']);
        let text =
            format!("one claim of this name; a member of another claim is written /{pointer}");
        warn(warnings, field, &text);
    }
}

/// Values with `*`, which stands for itself.
pub(super) fn starred_values(field: &str, values: &[String], warnings: &mut Vec<String>) {
    if let Some(value) = values.iter().find(|value| value.contains('*')) {
        let text = format!(
            "{}: `*` stands for itself, values are compared byte for byte",
            quoted(value)
        );
        warn(warnings, field, &text);
    }
}

/// Origins with the port that browsers leave out.
pub(super) fn default_port(field: &str, origin: &HttpUrl, warnings: &mut Vec<String>) {
    let default = match origin.scheme() {
        "https" => ":443",
        _ => ":80",
    };
    if let Some(bare) = origin.origin().strip_suffix(default) {
        let text = format!(
            "{}: browsers leave the port {default} out: write {bare}",
            quoted(origin.as_str()),
        );
        warn(warnings, field, &text);
    }
}

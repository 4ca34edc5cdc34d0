//! What a token says of itself that it is for.
//!
//! Some issuers sign ID, refresh and logout tokens with the same key, `iss`, `aud` and header as
//! their access tokens, and only a claim tells them apart. Each spells its name in its own way
//! (`Refresh`, `refresh-token`, `id_token`, `urn:ietf:params:oauth:token-type:id_token`), so a value
//! is judged by what it has in it, however it is written, wherever in it that stands: a token that
//! mentions one of these is refused, one that names nothing known is not.

use super::claims::Claims;

/// Where issuers say it: Cognito and Hydra, Keycloak, and libraries of Node.js and Python.
const CLAIMS: [&str; 5] = ["token_use", "typ", "tokenType", "token_type", "type"];

/// Where Hydra and Dex say it in their answers.
const USE: &str = "token_use";

/// Letters in a row that no name of an access token has.
const TELLTALES: [&str; 3] = ["refresh", "offline", "logout"];

impl Claims {
    /// The first claim that says it is no token for access, if one does.
    ///
    /// In answers of introspection a `token_use` must say that it is one: servers call refresh
    /// tokens active as well, with the same `aud` and `scope`.
    pub fn other_purpose(&self) -> Option<&'static str> {
        let says_another = |name: &str| self.texts(name).iter().any(|text| names_another(text));
        let is_used_otherwise = || {
            let uses = self.texts(USE);
            uses.iter()
                .any(|text| !text.to_ascii_lowercase().contains("access"))
        };
        CLAIMS
            .into_iter()
            .find(|name| says_another(name))
            .or_else(|| (self.is_answer() && is_used_otherwise()).then_some(USE))
    }
}

fn names_another(text: &str) -> bool {
    let mut words = String::with_capacity(text.len());
    let mut before = 0_u8;
    for byte in text.bytes() {
        if byte.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(if byte.is_ascii_alphanumeric() {
            char::from(byte.to_ascii_lowercase())
        } else {
            ' '
        });
        before = byte;
    }
    // "id" is part of many words, so it counts as a whole one alone.
    if words
        .split([' '])
        .any(|word| word == "id" || word == "idtoken")
    {
        return true;
    }
    words.retain(|letter| letter != ' ');
    let letters = words.as_bytes();
    TELLTALES.into_iter().any(|name| {
        letters
            .windows(name.len())
            .any(|part| part == name.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_tokens_in_every_spelling() {
        for text in [
            "ID",
            "id",
            "Id",
            "id_token",
            "id-token",
            "idToken",
            "IDToken",
            "ID Token",
            "oidcIdToken",
            "Serialized-ID",
            "id+jwt",
            "urn:ietf:params:oauth:token-type:id_token",
            "https://issuer.example/types#id_token",
            "Refresh",
            "REFRESH",
            "refresh_token",
            "refresh-token",
            "refreshToken",
            "r-e-f-r-e-s-h",
            "jwt:refresh:v2",
            "urn:ietf:params:oauth:token-type:refresh_token",
            "Offline",
            "offline_access",
            "off-line",
            "Logout",
            "logout_token",
            "logout+jwt",
            "BackchannelLogout",
        ] {
            assert!(names_another(text), "{text}");
        }
    }

    #[test]
    fn names_of_access_tokens_and_of_nothing_known() {
        for text in [
            "",
            "access",
            "access_token",
            "access-token",
            "accessToken",
            "ACCESS TOKEN",
            "at+jwt",
            "Bearer",
            "bearerid",
            "DPoP",
            "JWT",
            "user",
            "valid",
            "validToken",
            "android",
            "identity",
            "client_identifier",
            "openid",
            "https://issuer.example/tokens/access",
            "urn:ietf:params:oauth:token-type:access_token",
            "é\u{130}d",
        ] {
            assert!(!names_another(text), "{text}");
        }
    }
}

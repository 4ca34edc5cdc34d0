//! Signatures that the host checks, at the speed of native code.

use std::cell::RefCell;

use log::{info, warn};

use super::host::{Host, HostError};
use crate::jose::signature::host::{HostCheck, is_sound};
use crate::jose::signature::{Algorithm, Portable, PublicKey, SignatureVerifier};
use crate::sorted_map::SortedMap;

/// Set to `portable` in the environment of the VM, no signature is left to the host.
const SWITCH: &str = "MCP_AUTH_SIGNATURES";

/// Asks the host where it has the algorithm, and has proved to be right; else does it here.
struct HostVerifier<H> {
    host: OnlyHost<H>,
    /// What came of the proof, which an algorithm is put to when it is first needed.
    sound: RefCell<SortedMap<Algorithm, bool>>,
}

/// The verifier that the operator wants.
pub(super) fn preferred<H: Host>(host: &H) -> Box<dyn SignatureVerifier> {
    if host.variable(SWITCH).as_deref() == Some("portable") {
        info!("signatures: checked in the module, as {SWITCH} says");
        return Box::new(Portable);
    }
    Box::new(HostVerifier {
        host: OnlyHost(host.clone()),
        sound: RefCell::default(),
    })
}

impl<H: Host> HostVerifier<H> {
    fn is_sound(&self, alg: Algorithm) -> bool {
        let known = self.sound.try_borrow().ok();
        if let Some(sound) = known.and_then(|known| known.get(alg).copied()) {
            return sound;
        }
        let sound = is_sound(alg, &self.host);
        if let Ok(mut known) = self.sound.try_borrow_mut() {
            known.insert(alg, sound);
        }
        if sound {
            info!("signatures: {} is checked by the host", alg.name());
        }
        sound
    }
}

impl<H: Host> SignatureVerifier for HostVerifier<H> {
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match HostCheck::new(alg, key, signature) {
            Some(check) if self.is_sound(alg) => {
                let checked = self.host.0.verify_signature(&check, message);
                checked.unwrap_or_else(|HostError| {
                    warn!("signatures: the host failed; checked in the module");
                    Portable.verify(alg, key, message, signature)
                })
            }
            Some(_) | None => Portable.verify(alg, key, message, signature),
        }
    }
}

/// The host and nothing else, to be put to proof.
struct OnlyHost<H>(H);

impl<H: Host> SignatureVerifier for OnlyHost<H> {
    fn verify(&self, alg: Algorithm, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        HostCheck::new(alg, key, signature)
            .is_some_and(|check| self.0.verify_signature(&check, message) == Ok(true))
    }
}

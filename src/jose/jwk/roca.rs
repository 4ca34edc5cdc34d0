//! RSA keys whose private key can be computed from the public one (CVE-2017-15361, "ROCA": Nemec,
//! Sys, Svenda, Klinec and Matyas, CCS 2017, §3.3).
//!
//! Both primes of such a key are k·M + (65537^a mod M), where M is the product of the first primes.
//! So the modulus is a power of 65537 modulo each of these, which one of another key hardly ever is.

#[cfg(test)]
mod tests;

/// The greatest prime of M for every modulus of 2048 bits or more: longer keys have more of them.
const GREATEST: u32 = 701;
const GENERATOR: u32 = 65537;

/// Whether a modulus (big-endian) has the mark of such a key.
pub(super) fn has_its_mark(modulus: &[u8]) -> bool {
    (3..=GREATEST)
        .filter(|number| is_prime(*number))
        .all(|prime| is_power(remainder(modulus, prime), prime))
}

fn is_prime(number: u32) -> bool {
    (2..number)
        .take_while(|divisor| divisor.saturating_mul(*divisor) <= number)
        .all(|divisor| rest(number, divisor) != 0)
}

fn remainder(modulus: &[u8], prime: u32) -> u32 {
    modulus.iter().fold(0, |sum, byte| {
        rest(
            sum.saturating_mul(256).saturating_add(u32::from(*byte)),
            prime,
        )
    })
}

/// Whether `number` is a power of the generator modulo `prime`.
fn is_power(number: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = rest(power.saturating_mul(rest(GENERATOR, prime)), prime);
    }
    false
}

/// `number` modulo `by`, which is small enough that no product here is cut off.
fn rest(number: u32, by: u32) -> u32 {
    number.checked_rem(by).unwrap_or_default()
}

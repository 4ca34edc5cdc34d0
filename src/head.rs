//! The headers of a request, as the host hands them over: bytes, and pseudo-headers among them.

use std::ops::Range;

/// The headers of a request or a response, read once.
#[derive(Clone, Default)]
pub struct Head {
    bytes: Vec<u8>,
    headers: Vec<(Range<usize>, Range<usize>)>,
    /// Which lengths names have, a bit for each.
    lengths: u64,
    ends: bool,
}

impl Head {
    /// From names in lower case and values of any bytes.
    pub fn new(headers: Vec<(String, Vec<u8>)>) -> Self {
        let mut head = Self::default();
        for (name, value) in headers {
            let start = head.bytes.len();
            head.bytes.extend_from_slice(name.as_bytes());
            let between = head.bytes.len();
            head.bytes.extend_from_slice(&value);
            let end = head.bytes.len();
            head.headers.push((start..between, between..end));
            head.lengths |= length_bit(name.len());
        }
        head
    }

    /// From the form of the proxy-wasm ABI: the number of headers, the lengths of each name and
    /// value, then all names and values, each with a zero behind it; numbers of 32 bits,
    /// little-endian. `None` if the bytes are not of that form.
    pub fn from_pairs(bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let count = number(&bytes, 0)?;
        let mut at = count.checked_mul(8)?.checked_add(4)?;
        if at > bytes.len() {
            return None;
        }
        let mut headers = Vec::with_capacity(count);
        let mut all_lengths = 0;
        let mut take = |length: usize| {
            let start = at;
            let end = start.checked_add(length)?;
            at = end.checked_add(1)?;
            (at <= bytes.len()).then_some(start..end)
        };
        for lengths in (4..).step_by(8).take(count) {
            let name = take(number(&bytes, lengths)?)?;
            let value = take(number(&bytes, lengths.checked_add(4)?)?)?;
            all_lengths |= length_bit(name.len());
            headers.push((name, value));
        }
        Some(Self {
            bytes,
            headers,
            lengths: all_lengths,
            ends: false,
        })
    }

    /// With what the host says of the end: whether neither body nor trailers follow.
    pub fn ending(mut self, ends: bool) -> Self {
        self.ends = ends;
        self
    }

    /// Whether neither body nor trailers follow, as far as is known.
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// The `:method`; empty where there is none.
    pub fn method(&self) -> &[u8] {
        self.values(":method").next().unwrap_or_default()
    }

    /// All values of a header, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.of_length(name.len())
            .filter(move |(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// Whether the header is there.
    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The names of so many bytes, in order.
    pub fn names_of_length(&self, bytes: usize) -> impl Iterator<Item = &[u8]> {
        self.of_length(bytes).map(|(name, _)| name)
    }

    /// All names, in order; but for such as are not UTF-8, which no header of ours resembles.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs()
            .filter_map(|(name, _)| std::str::from_utf8(name).ok())
    }

    /// Lengths are compared where they stand: most headers are passed over by them, and all at
    /// once where none has such a name.
    fn of_length(&self, bytes: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let headers = match self.lengths & length_bit(bytes) {
            0 => &[],
            _ => self.headers.as_slice(),
        };
        self.parts(headers, move |name| name.len() == bytes)
    }

    /// All names and values, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts(&self.headers, |_| true)
    }

    fn parts<'a>(
        &'a self,
        headers: &'a [(Range<usize>, Range<usize>)],
        which: impl Fn(&Range<usize>) -> bool,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let headers = headers.iter().filter(move |(name, _)| which(name));
        headers.filter_map(|(name, value)| {
            Some((
                self.bytes.get(name.clone())?,
                self.bytes.get(value.clone())?,
            ))
        })
    }
}

/// The bit for names of so many bytes, and of 64 more.
const fn length_bit(bytes: usize) -> u64 {
    1_u64.rotate_left((bytes & 63) as u32)
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

impl std::fmt::Debug for Head {
    /// Values stay out: one of them is a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Whether a server could take `name` for `header`, which is in the spelling of [`folded`].
pub(crate) fn folds_to(name: &str, header: &str) -> bool {
    name.len() == header.len() && name.bytes().map(folded).eq(header.bytes())
}

pub(crate) const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(headers: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let mut out = u32::try_from(headers.len()).unwrap().to_le_bytes().to_vec();
        for (name, value) in headers {
            out.extend(length(name));
            out.extend(length(value));
        }
        for (name, value) in headers {
            out.extend([name.as_slice(), b"\0", value, b"\0"].concat());
        }
        out
    }

    proptest! {
        #[test]
        fn reads_what_a_host_writes(
            headers in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..20),
        ) {
            let head = Head::from_pairs(encoded(&headers)).unwrap();
            let read: Vec<(Vec<u8>, Vec<u8>)> = head
                .pairs()
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect();
            prop_assert_eq!(&read, &headers);
            for (name, _) in &headers {
                let Ok(name) = std::str::from_utf8(name) else {
                    continue;
                };
                let named = headers.iter().filter(|(other, _)| other == name.as_bytes());
                let values: Vec<&[u8]> = named.map(|(_, value)| value.as_slice()).collect();
                prop_assert_eq!(head.values(name).collect::<Vec<_>>(), values);
                prop_assert!(head.has(name));
            }
        }

        #[test]
        fn other_bytes_do_no_harm(bytes in any::<Vec<u8>>(), cut in 0_usize..100) {
            let _ = Head::from_pairs(bytes.clone());
            let mut cut_off = encoded(&[(b"name".to_vec(), bytes)]);
            let length = cut_off.len();
            cut_off.truncate(length.saturating_sub(cut.max(1)).max(1));
            prop_assert!(Head::from_pairs(cut_off).is_none());
        }
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        assert!(Head::from_pairs(u32::MAX.to_le_bytes().to_vec()).is_none());
        let lengths = [1_u32.to_le_bytes(), u32::MAX.to_le_bytes(), [0; 4]].concat();
        assert!(Head::from_pairs(lengths).is_none());
        assert!(
            Head::from_pairs(Vec::new())
                .unwrap()
                .names()
                .next()
                .is_none()
        );
    }
}

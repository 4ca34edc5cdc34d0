//! Server-sent events, one at a time as they complete (HTML standard, "Server-sent events").

use super::{Lists, Unreadable};
use crate::resource::Resource;

/// A stream of events on its way to a client. What is complete goes on at once; an event that is
/// not is kept back.
#[derive(Debug)]
pub struct Events {
    /// The event that has begun.
    event: Vec<u8>,
    limit: usize,
    /// It is longer than the limit: it is not kept.
    too_large: bool,
    /// How many bytes its last line has.
    line: usize,
    /// The last byte was a CR: an LF behind it ends no further line.
    after_cr: bool,
    first: bool,
}

impl Events {
    /// An event may have `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            event: Vec::new(),
            limit,
            too_large: false,
            line: 0,
            after_cr: false,
            first: true,
        }
    }

    /// Takes more of the stream, and tells what may go on. `report` is told of each event that
    /// cannot be judged.
    pub fn push(
        &mut self,
        bytes: &[u8],
        lists: &Lists,
        resource: &Resource,
        mut report: impl FnMut(Unreadable),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            self.keep(*byte);
            let ends_line = match byte {
                b'\n' => !self.after_cr,
                b'\r' => true,
                _ => false,
            };
            self.after_cr = *byte == b'\r';
            match (ends_line, self.line) {
                (true, 0) => self.complete(&mut out, lists, resource, &mut report),
                (true, _) => self.line = 0,
                (false, _) if *byte == b'\n' => {}
                (false, _) => self.line = self.line.saturating_add(1),
            }
        }
        out
    }

    /// The stream has ended. An event without an empty line behind it is none, but some clients
    /// take it for one.
    pub fn end(
        &mut self,
        lists: &Lists,
        resource: &Resource,
        mut report: impl FnMut(Unreadable),
    ) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.event.is_empty() || self.too_large {
            self.complete(&mut out, lists, resource, &mut report);
        }
        out
    }

    fn keep(&mut self, byte: u8) {
        if self.event.len() < self.limit {
            self.event.push(byte);
        } else {
            self.too_large = true;
        }
    }

    fn complete(
        &mut self,
        out: &mut Vec<u8>,
        lists: &Lists,
        resource: &Resource,
        report: &mut impl FnMut(Unreadable),
    ) {
        let event = std::mem::take(&mut self.event);
        let first = std::mem::take(&mut self.first);
        let too_large = std::mem::take(&mut self.too_large);
        self.line = 0;
        let event = if first {
            event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&event)
        } else {
            &event
        };
        if too_large {
            report(Unreadable::TooLarge);
            return write(out, &[], lists.error());
        }
        let (others, data) = read(event);
        match data.as_deref().map(|data| lists.filter(resource, data)) {
            None | Some(Ok(None)) => out.extend_from_slice(event),
            Some(Ok(Some(filtered))) => write(out, &others, Some(filtered)),
            Some(Err(error)) => {
                report(error);
                write(out, &others, lists.error());
            }
        }
    }
}

/// The lines of an event that are not data, and its data; `None` if it has none, or an empty one.
fn read(event: &[u8]) -> (Vec<&[u8]>, Option<Vec<u8>>) {
    let mut others = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    // Between a CR and its LF stands an empty line, which means nothing here.
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let value = match line.strip_prefix(b"data") {
            Some(b"") => Some(b"".as_slice()),
            Some(rest) => rest
                .strip_prefix(b":")
                .map(|value| value.strip_prefix(b" ").unwrap_or(value)),
            None => None,
        };
        match (value, &mut data) {
            (Some(value), None) => data = Some(value.to_vec()),
            (Some(value), Some(data)) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            (None, _) if line.is_empty() => {}
            (None, _) => others.push(line),
        }
    }
    (others, data.filter(|data| !data.is_empty()))
}

pub(super) fn write(out: &mut Vec<u8>, others: &[&[u8]], data: Option<String>) {
    for line in others {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    for line in data.iter().flat_map(|data| data.split(['\n', '\r'])) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    out.push(b'\n');
}

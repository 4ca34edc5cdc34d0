//! Server-sent events (HTML standard, "Server-sent events").
//!
//! Bytes go on as they come. Kept back are an event's bytes from its first line of data on, as long
//! as they may be a list answer, and the first bytes of a line that may become one of data.

#[cfg(test)]
mod tests;

use memchr::memchr2;

use super::beginning::{Beginning, Verdict};
use super::{Lists, Unreadable};
use crate::resource::Resource;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DATA: &[u8] = b"data:";
/// The bytes of a line that are kept to tell its field: more than `event: message` has.
const MAX_FIELD: usize = 24;

/// A stream of events on its way to a client.
#[derive(Debug)]
pub struct Events {
    /// An event may have so many bytes from its first line of data on, to be judged.
    limit: usize,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    kind: Line,
    /// The last byte was a CR: an LF behind it belongs to the same end of a line.
    after_cr: bool,
    /// Nothing has come but perhaps a part of a byte order mark.
    first: bool,
    /// The type of the event is the one that clients take for messages, as far as it was named.
    is_message: bool,
    data: Data,
}

/// The kind of the line that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Not yet known: its bytes are in `line` alone.
    Open,
    /// Of data; its value has not begun.
    Data,
    /// Within its value.
    Value,
    Other,
}

/// The data of the event that is being read.
#[derive(Debug)]
enum Data {
    None,
    /// It may be a list answer.
    Held {
        event: Vec<u8>,
        beginning: Beginning,
    },
    /// It is none.
    Passed,
    /// It is one that is too long: an error takes its place.
    Dropped,
}

/// The way out: what goes on, and who judges it.
struct To<'a, R> {
    out: Vec<u8>,
    lists: &'a Lists,
    resource: &'a Resource,
    report: R,
}

impl Events {
    /// An event's data is judged up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::with_capacity(MAX_FIELD),
            kind: Line::Open,
            after_cr: false,
            first: true,
            is_message: true,
            data: Data::None,
        }
    }

    /// Takes more of the stream, and tells what goes on. `report` is told of each list answer that
    /// cannot be judged.
    pub fn push(
        &mut self,
        bytes: &[u8],
        lists: &Lists,
        resource: &Resource,
        report: impl FnMut(Unreadable),
    ) -> Vec<u8> {
        let mut to = To {
            out: Vec::with_capacity(bytes.len()),
            lists,
            resource,
            report,
        };
        let mut rest = bytes;
        while let Some((first, behind)) = rest.split_first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                self.keep(b"\n", false, &mut to);
                rest = behind;
                continue;
            }
            let end = memchr2(b'\n', b'\r', rest);
            let (within, behind) = rest.split_at(end.unwrap_or(rest.len()));
            self.within_line(within, &mut to);
            rest = behind;
            if let Some((end, behind)) = rest.split_first() {
                self.end_line(*end, &mut to);
                rest = behind;
            }
        }
        to.out
    }

    /// The stream has ended. An event without an empty line behind it is none, but some clients
    /// take it for one.
    pub fn end(
        &mut self,
        lists: &Lists,
        resource: &Resource,
        report: impl FnMut(Unreadable),
    ) -> Vec<u8> {
        let mut to = To {
            out: Vec::new(),
            lists,
            resource,
            report,
        };
        self.settle_line(&mut to);
        self.complete(&mut to);
        to.out
    }

    fn within_line<R: FnMut(Unreadable)>(&mut self, mut bytes: &[u8], to: &mut To<'_, R>) {
        while self.kind == Line::Open {
            let Some((byte, behind)) = bytes.split_first() else {
                return;
            };
            bytes = behind;
            self.line.push(*byte);
            if self.first && BYTE_ORDER_MARK.starts_with(&self.line) {
                if self.line == BYTE_ORDER_MARK {
                    self.first = false;
                    to.out.append(&mut self.line);
                }
            } else if self.line == DATA {
                self.begin_data(to);
            } else if !DATA.starts_with(&self.line) {
                self.begin_other(to);
            }
        }
        if self.kind == Line::Data
            && let Some((first, behind)) = bytes.split_first()
        {
            self.kind = Line::Value;
            if *first == b' ' {
                self.keep(b" ", false, to);
                bytes = behind;
            }
        }
        if self.kind == Line::Other {
            let room = MAX_FIELD.saturating_sub(self.line.len());
            self.line.extend(bytes.iter().take(room));
        }
        self.keep(bytes, self.kind == Line::Value, to);
    }

    /// A line is of data: its first bytes are in `line`.
    fn begin_data<R: FnMut(Unreadable)>(&mut self, to: &mut To<'_, R>) {
        self.kind = Line::Data;
        self.first = false;
        match &mut self.data {
            Data::None if self.is_message => {
                self.data = Data::Held {
                    event: Vec::new(),
                    beginning: Beginning::new(),
                };
            }
            Data::None => self.data = Data::Passed,
            Data::Held { beginning, .. } => beginning.read(b"\n", to.lists),
            Data::Passed | Data::Dropped => {}
        }
        let line = std::mem::take(&mut self.line);
        self.keep(&line, false, to);
    }

    fn begin_other<R: FnMut(Unreadable)>(&mut self, to: &mut To<'_, R>) {
        self.kind = Line::Other;
        self.first = false;
        let line = std::mem::take(&mut self.line);
        self.keep(&line, false, to);
        self.line = line;
    }

    /// The line has ended, or the stream: what is in it alone goes on.
    fn settle_line<R: FnMut(Unreadable)>(&mut self, to: &mut To<'_, R>) {
        if self.kind != Line::Open || self.line.is_empty() {
            return;
        }
        if Some(self.line.as_slice()) == DATA.strip_suffix(b":") {
            self.begin_data(to);
        } else {
            self.begin_other(to);
        }
    }

    fn end_line<R: FnMut(Unreadable)>(&mut self, end: u8, to: &mut To<'_, R>) {
        self.settle_line(to);
        match self.kind {
            // The line is empty.
            Line::Open => self.complete(to),
            Line::Other => {
                if let Some(name) = event_type(&self.line) {
                    self.is_message = matches!(name, b"" | b"message");
                }
            }
            Line::Data | Line::Value => {}
        }
        self.keep(&[end], false, to);
        self.after_cr = end == b'\r';
        self.first = false;
        self.kind = Line::Open;
        self.line.clear();
    }

    /// Takes bytes of the stream; whether they are of the event's data as its reader has it.
    fn keep<R: FnMut(Unreadable)>(&mut self, bytes: &[u8], is_value: bool, to: &mut To<'_, R>) {
        let (event, beginning) = match &mut self.data {
            Data::None | Data::Passed => return to.out.extend_from_slice(bytes),
            Data::Dropped => return,
            Data::Held { event, beginning } => (event, beginning),
        };
        let room = self.limit.saturating_sub(event.len());
        let (kept, over) = bytes.split_at_checked(room).unwrap_or((bytes, b""));
        event.extend_from_slice(kept);
        if is_value {
            beginning.read(kept, to.lists);
        }
        match beginning.verdict() {
            Verdict::Open | Verdict::List if over.is_empty() => {}
            Verdict::List if self.is_message && to.too_large() => self.data = Data::Dropped,
            Verdict::Open | Verdict::List | Verdict::Other => {
                to.out.append(event);
                to.out.extend_from_slice(over);
                self.data = Data::Passed;
            }
        }
    }

    /// The event is whole, but for its empty line.
    fn complete<R: FnMut(Unreadable)>(&mut self, to: &mut To<'_, R>) {
        let is_message = std::mem::replace(&mut self.is_message, true);
        match std::mem::replace(&mut self.data, Data::None) {
            Data::None | Data::Passed => {}
            Data::Held { event, beginning }
                if is_message && beginning.verdict() == Verdict::List =>
            {
                to.judged(&event);
            }
            Data::Held { event, .. } => to.out.extend_from_slice(&event),
            Data::Dropped => {
                if let Some(error) = to.lists.error() {
                    write_data(&mut to.out, &error, b"\n");
                }
            }
        }
    }
}

impl<R: FnMut(Unreadable)> To<'_, R> {
    /// `true` if an error takes the place of a list answer that is too long.
    fn too_large(&mut self) -> bool {
        (self.report)(Unreadable::TooLarge);
        self.lists.error().is_some()
    }

    /// A list answer, without what is not to be seen.
    fn judged(&mut self, event: &[u8]) {
        let new = match self.lists.filter(self.resource, &data(event)) {
            Ok(new) => new,
            Err(error) => {
                (self.report)(error);
                self.lists.error()
            }
        };
        match new {
            None => self.out.extend_from_slice(event),
            Some(new) => self.with_data(event, &new),
        }
    }

    /// An event with other data: all other lines, and the ends of lines, stay as they are.
    fn with_data(&mut self, event: &[u8], new: &str) {
        let mut new = Some(new);
        for (line, end) in lines(event) {
            if value(line).is_none() {
                self.out.extend_from_slice(line);
                self.out.extend_from_slice(end);
            } else if let Some(data) = new.take() {
                write_data(&mut self.out, data, end);
            }
        }
    }
}

/// The data of an event, as its reader has it.
fn data(event: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(event.len());
    for (at, value) in lines(event).filter_map(|(line, _)| value(line)).enumerate() {
        if at > 0 {
            data.push(b'\n');
        }
        data.extend_from_slice(value);
    }
    data
}

/// The value of a line of data.
fn value(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(DATA) {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => (Some(line) == DATA.strip_suffix(b":")).then_some(b""),
    }
}

/// The lines of an event, each with its end.
fn lines(event: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = event;
    std::iter::from_fn(move || {
        let at = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(at)?;
        let end = match behind {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        let (end, behind) = behind.split_at_checked(end)?;
        rest = behind;
        (!line.is_empty() || !end.is_empty()).then_some((line, end))
    })
}

/// The type that a line names, if it is one that does.
fn event_type(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"event") {
        Some(b"") => Some(b""),
        Some(rest) => rest
            .strip_prefix(b":")
            .map(|value| value.strip_prefix(b" ").unwrap_or(value)),
        None => None,
    }
}

/// Lines of data that say this; `end` is how each ends.
fn write_data(out: &mut Vec<u8>, data: &str, end: &[u8]) {
    for (at, line) in data.split('\n').enumerate() {
        if at > 0 {
            out.extend_from_slice(if end.is_empty() { b"\n" } else { end });
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
    }
    out.extend_from_slice(end);
}

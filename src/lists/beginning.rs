//! Tells from the beginning of a JSON text whether it is a list answer.

#[cfg(test)]
mod tests;

use super::Lists;

/// A name that is longer, as it is written, is none that is looked for.
const MAX_NAME: usize = 64;

/// The knowledge of a text so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be a list answer.
    Open,
    /// It is none, whatever follows.
    Other,
    /// It is one: a list has begun. What follows may still make it no sound JSON.
    List,
}

/// A text as far as it has come.
///
/// It is read as JSON's grammar has it, but nothing is checked: a text that breaks the grammar is
/// no list answer to any reader, and what is said of it does not matter. Once it is not
/// [`Verdict::Open`], it stays what it is.
#[derive(Debug)]
pub(super) struct Beginning {
    verdict: Verdict,
    /// The number of arrays and objects that are open.
    depth: usize,
    /// At which depth messages stand: 2 in a batch. 0 before the first byte.
    message_depth: usize,
    /// An object is open at that depth.
    in_message: bool,
    /// The member of the message that is being read is `result`.
    at_result: bool,
    /// An object is open below it, and it is that result.
    in_result: bool,
    string: StringState,
    /// The next text may be a member's name.
    before_name: bool,
    /// The name that is being read, as it is written.
    name: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// Behind a backslash.
    Escape,
}

impl Beginning {
    pub(super) fn new() -> Self {
        Self {
            verdict: Verdict::Open,
            depth: 0,
            message_depth: 0,
            in_message: false,
            at_result: false,
            in_result: false,
            string: StringState::Outside,
            before_name: false,
            name: None,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes more of the text.
    pub(super) fn read(&mut self, bytes: &[u8], lists: &Lists) {
        for byte in bytes {
            if self.verdict != Verdict::Open {
                return;
            }
            match self.string {
                StringState::Outside => self.structure(*byte),
                StringState::Escape => {
                    self.keep(*byte);
                    self.string = StringState::Inside;
                }
                StringState::Inside if *byte == b'"' => {
                    self.string = StringState::Outside;
                    if let Some(name) = self.name.take() {
                        self.named(&name, lists);
                    }
                }
                StringState::Inside => {
                    self.keep(*byte);
                    if *byte == b'\\' {
                        self.string = StringState::Escape;
                    }
                }
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(name) = &mut self.name
            && name.len() < MAX_NAME
        {
            name.push(byte);
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' => self.open(true),
            b'[' => self.open(false),
            // No text, number or word is a message.
            _ if self.depth == 0 => self.verdict = Verdict::Other,
            b'"' => {
                self.string = StringState::Inside;
                self.name = self.before_name.then(Vec::new);
            }
            b'}' | b']' => self.close(),
            b',' => self.before_name = self.is_at_members(),
            _ => {}
        }
    }

    fn open(&mut self, object: bool) {
        if self.depth == 0 {
            self.message_depth = if object { 1 } else { 2 };
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth == self.message_depth {
            self.in_message = object;
            self.at_result = false;
        } else if self.depth == self.message_depth.saturating_add(1) {
            self.in_result = object && self.in_message && self.at_result;
        }
        self.before_name = object && self.is_at_members();
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.before_name = false;
        if self.depth == 0 {
            self.verdict = Verdict::Other;
        }
    }

    /// `true` if the names of what is open tell something.
    fn is_at_members(&self) -> bool {
        (self.depth == self.message_depth && self.in_message)
            || (self.depth == self.message_depth.saturating_add(1) && self.in_result)
    }

    fn named(&mut self, name: &[u8], lists: &Lists) {
        let name = [b"\"", name, b"\""].concat();
        let name: String = serde_json::from_slice(&name).unwrap_or_default();
        self.before_name = false;
        if self.depth > self.message_depth {
            if lists.asked.iter().any(|list| list.member() == name) {
                self.verdict = Verdict::List;
            }
            return;
        }
        self.at_result = name == "result";
        if name == "method" {
            // A request or a notification (JSON-RPC 2.0 §4). Others may stand beside it in a batch.
            self.in_message = false;
            if self.message_depth == 1 {
                self.verdict = Verdict::Other;
            }
        }
    }
}

impl Lists {
    /// `true` if a JSON text is a list answer, as far as `beginning` tells.
    pub(super) fn has_begun(&self, beginning: &[u8]) -> bool {
        let beginning = crate::json::without_byte_order_mark(beginning);
        let mut text = Beginning::new();
        text.read(beginning, self);
        text.verdict() == Verdict::List
    }
}

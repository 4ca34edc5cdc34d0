//! Whether some server might read a path as below a pattern.
//!
//! A server takes segments away (`.`, `..`, empty ones, `;parameters`, a host, a script's name),
//! drops what is behind a name, and compares what is left. It never puts segments in another order,
//! and never makes one. So each configured name must be there whole, in order, at the beginning of
//! a segment, and what this refuses is all that is left:
//!
//! - Before a name vanish dots, empty segments, and segments that begin with `;`.
//! - A name ends at whatever is no letter, digit, `-` or `_`.
//! - Only `..`, a line break (a second request), `.php` (a script's name) and an empty first
//!   segment (`//host`) take names away from the front. Behind such a one, names need but come in
//!   order, each at the beginning of some segment.
//! - `\` stands for what is a separator to some: behind a value, `;` or another end of a name, the
//!   segment may also go on there.
//!
//! The text is read once, with one cursor for each segment of the pattern.

use super::Segment;
use super::undone::OPTIONAL;

/// Of longer names the first characters decide: one bit for each, and one for the end.
const MAX_NAME: usize = 63;
const SCRIPT: [u8; 4] = *b".php";

/// Whether a text (see [`super::undone`]), without its first `/`, may be below the segments.
pub(super) fn may_be_below(text: &[u8], segments: &[Segment]) -> bool {
    let mut reading = Reading::of(segments);
    text.iter().any(|c| reading.step(&Character::of(*c))) || reading.ends()
}

struct Character {
    ascii: u8,
    /// It may be missing.
    is_optional: bool,
    is_separator: bool,
    /// A name in front of it ends.
    ends_name: bool,
}

impl Character {
    fn of(character: u8) -> Self {
        let ascii = (character & !OPTIONAL).to_ascii_lowercase();
        let is_optional = character & OPTIONAL != 0;
        Self {
            ascii,
            is_optional,
            is_separator: matches!(ascii, b'/' | b'\\'),
            ends_name: is_optional || super::ends_name(ascii),
        }
    }

    /// Every server splits there.
    fn splits(&self) -> bool {
        self.ascii == b'/' && !self.is_optional
    }
}

/// Where readings may be within one segment of the pattern, all before it found.
#[derive(Clone, Copy, Default)]
struct Places {
    /// At the beginning of a segment, or behind what vanishes there.
    awaits: bool,
    /// Within a segment that may be skipped.
    skips: bool,
    /// Bit n: behind the first n characters of the name.
    within: u64,
}

impl Places {
    /// Nothing has led here: a step leads nowhere.
    fn are_none(&self) -> bool {
        !self.awaits && !self.skips && self.within == 0
    }

    /// Goes on by one character, and says where it is in the next segment of the pattern.
    fn step(&mut self, segment: &Segment, character: &Character) -> Self {
        let was = *self;
        let within = was.within | u64::from(was.awaits);
        let mut found = false;
        self.within = if character.is_optional { was.within } else { 0 };
        match segment {
            Segment::Variable(_) => found = was.awaits,
            Segment::Literal(_) if within == 0 => {}
            Segment::Literal(name) => {
                let mut bit = 1_u64;
                for ascii in name.bytes().take(MAX_NAME) {
                    if within & bit != 0 && ascii.eq_ignore_ascii_case(&character.ascii) {
                        self.within |= bit << 1;
                    }
                    bit <<= 1;
                }
                found |= was.within & bit != 0 && (character.ends_name || name.len() > MAX_NAME);
            }
        }
        let is_void = character.is_optional || character.ascii == b'.';
        let is_next = character.is_separator;
        self.awaits = (was.awaits && is_void) || (is_next && (was.awaits || was.skips));
        self.skips = (was.skips && !character.splits()) || (was.awaits && character.ascii == b';');
        Self {
            awaits: found && is_next,
            skips: found && !character.splits(),
            within: 0,
        }
    }
}

struct Reading<'p> {
    segments: &'p [Segment],
    /// One for each segment.
    places: Vec<Places>,
    /// How many segments of the pattern were found at most.
    found: usize,
    /// What came may be taken away from the front.
    is_loose: bool,
    /// How many dots there are since the beginning of a segment, and nothing else.
    dots: Option<u8>,
    /// Bit n: behind the first n + 1 characters of `.php`.
    script: u8,
}

impl<'p> Reading<'p> {
    fn of(segments: &'p [Segment]) -> Self {
        let mut places = vec![Places::default(); segments.len()];
        if let Some(first) = places.first_mut() {
            first.awaits = true;
        }
        Self {
            segments,
            places,
            found: 0,
            is_loose: false,
            dots: Some(0),
            script: 0,
        }
    }

    /// Goes on by one character; whether all segments were found.
    fn step(&mut self, character: &Character) -> bool {
        self.is_loose |= self.may_turn(character);
        let mut next = Places::default();
        for (at, (places, segment)) in self.places.iter_mut().zip(self.segments).enumerate() {
            let reached = next;
            next = if places.are_none() {
                Places::default()
            } else {
                places.step(segment, character)
            };
            places.awaits |= reached.awaits;
            places.skips |= reached.skips;
            if reached.awaits || reached.skips {
                self.found = self.found.max(at);
            }
        }
        if self.is_loose
            && character.is_separator
            && let Some(places) = self.places.get_mut(self.found)
        {
            places.awaits = true;
        }
        next.awaits || next.skips
    }

    /// Whether some server drops what came before, or part of it.
    fn may_turn(&mut self, character: &Character) -> bool {
        let is_first = self.places.first().is_some_and(|first| first.awaits);
        let ends = character.ends_name && character.ascii != b'.';
        let is_up = ends && self.dots.is_some_and(|dots| dots >= 2);
        let is_script = character.ends_name && self.script & 0b1000 != 0;

        self.dots = match self.dots {
            Some(dots) if character.ascii == b'.' => Some(dots.saturating_add(1)),
            Some(dots) if character.is_optional => Some(dots),
            Some(_) | None => character.is_separator.then_some(0),
        };
        let was = (self.script << 1) | 1;
        let mut bit = 1_u8;
        self.script = if character.is_optional {
            self.script
        } else {
            0
        };
        for ascii in SCRIPT {
            if was & bit != 0 && ascii == character.ascii {
                self.script |= bit;
            }
            bit <<= 1;
        }
        is_up || is_script || character.ascii == b'\n' || (is_first && character.is_separator)
    }

    /// Whether the last segment is the end of the text.
    fn ends(&self) -> bool {
        match (self.places.last(), self.segments.last()) {
            (Some(places), Some(Segment::Literal(name))) => {
                places.within >> name.len().min(MAX_NAME) & 1 == 1
            }
            (Some(_), Some(Segment::Variable(_))) => false,
            (None, _) | (_, None) => true,
        }
    }
}

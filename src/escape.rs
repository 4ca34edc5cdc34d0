//! Values that came from outside, as they may stand in logs and in filter state.

/// The most characters of an outside value that are shown.
const SHOWN: usize = 96;

/// `text` in quotes, its control characters escaped, cut after 96 characters: one line, harmless
/// to a terminal and to a parser of logs.
pub fn escaped(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_default)
        .collect();
    shown.insert(0, '"');
    shown.push('"');
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// `text` with an escape for each character that is none to look at: controls, ends of lines, what
/// turns the direction of writing, what has no width. One line, harmless to a terminal.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // These are escaped in literals alone.
        if matches!(character, '"' | '\'' | '\\') {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}

/// The same of bytes, if they are text.
pub fn escaped_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => escaped(text),
        Err(_) => format!("{} bytes that are not UTF-8", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printable_is_one_harmless_line() {
        let plain = r#"café "a" 'b' \ {}"#;
        assert_eq!(printable(plain), plain);
        for (found, shown) in [
            ("a\r\n\tb\0", r"a\r\n\tb\0"),
            ("\u{1b}[2J\u{7f}", r"\u{1b}[2J\u{7f}"),
            ("\u{85}\u{9b}", r"\u{85}\u{9b}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            (
                "\u{202e}\u{2066}\u{200f}\u{61c}",
                r"\u{202e}\u{2066}\u{200f}\u{61c}",
            ),
            ("\u{feff}\u{200b}\u{ad}", r"\u{feff}\u{200b}\u{ad}"),
        ] {
            assert_eq!(printable(found), shown);
            assert_eq!(printable(shown), shown);
        }
    }

    #[test]
    fn is_one_short_harmless_line() {
        assert_eq!(escaped("https://a.example"), "\"https://a.example\"");
        assert_eq!(escaped("a\"b\r\n\u{1b}[2J"), r#""a\"b\r\n\u{1b}[2J""#);
        assert_eq!(escaped(&"x".repeat(97)), format!("\"{}\"…", "x".repeat(96)));
    }
}

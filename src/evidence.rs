//! What may be said of values that came from outside, in logs and in filter state.

/// How many characters of an outside value are shown.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_short_harmless_line() {
        assert_eq!(escaped("https://a.example"), "\"https://a.example\"");
        assert_eq!(escaped("a\"b\r\n\u{1b}[2J"), r#""a\"b\r\n\u{1b}[2J""#);
        assert_eq!(escaped(&"x".repeat(97)), format!("\"{}\"…", "x".repeat(96)));
    }
}

mod object;
mod value;

use super::*;

/// The names of an object of this document, in order.
fn names<'m>(document: &'m str, members: &'m Members<'_>) -> impl Iterator<Item = &'m str> {
    members
        .members
        .iter()
        .map(move |(name, _)| name.read(document))
}

#[test]
fn errors_are_phrases() {
    let at = JsonError::Syntax { line: 1, column: 2 };
    assert_eq!(at.to_string(), "not JSON at line 1 column 2");
    assert_eq!(JsonError::NotUtf8.to_string(), "not UTF-8");
}

#[test]
fn a_byte_order_mark_is_passed_over_once() {
    let marked = |bytes| Json::marked_document(bytes).map(Json::written);
    assert_eq!(marked(b"\xef\xbb\xbf{}"), Ok("{}"));
    assert_eq!(marked(b"\xef\xbb\xbf\xef\xbb\xbf{}"), Ok("\u{feff}{}"));
    assert_eq!(marked(b"\xff"), Err(JsonError::NotUtf8));
    assert_eq!(
        Json::document(b"\xef\xbb\xbf1").map(Json::written),
        Ok("\u{feff}1")
    );
}

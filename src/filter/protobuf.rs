//! The little of protobuf's wire format that foreign functions of the host speak.

/// A message whose fields 1, 2, … are these bytes.
pub(super) fn message(fields: &[&[u8]]) -> Vec<u8> {
    let bytes = fields
        .iter()
        .map(|field| field.len().saturating_add(6))
        .fold(0, usize::saturating_add);
    let mut out = Vec::with_capacity(bytes);
    for (number, field) in (1_u8..).zip(fields) {
        // Wire type 2: a length, then so many bytes.
        out.push((number << 3) | 2);
        let mut length = field.len();
        while length > 0x7f {
            out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        out.push(u8::try_from(length).unwrap_or(0));
        out.extend_from_slice(field);
    }
    out
}

/// Whether a message begins with its field 1, a bool that is true. Envoy writes fields in order,
/// and leaves false ones out.
pub(super) fn first_bool(message: &[u8]) -> bool {
    matches!(message, [0x08, 0x01, ..])
}

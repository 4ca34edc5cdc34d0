//! The headers of a request, as the host hands them over: bytes, and pseudo-headers among them.

/// The headers of a request, read once.
#[derive(Clone, Default)]
pub struct Head {
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// From names in lower case and values of any bytes.
    pub fn new(headers: Vec<(String, Vec<u8>)>) -> Self {
        Self { headers }
    }

    /// The `:method`; empty where there is none.
    pub fn method(&self) -> &[u8] {
        self.values(":method").next().unwrap_or_default()
    }

    /// All values of a header, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Whether the header is there.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(other, _)| other == name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }
}

impl std::fmt::Debug for Head {
    /// Values stay out: one of them is a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

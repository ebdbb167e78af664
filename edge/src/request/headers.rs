//! Header lists as they cross between JavaScript and wasm: one string.

/// Names (lower case, as the Fetch standard gives them) and values, each ended
/// by NUL, which HTTP allows in neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers {
    flat: String,
}

impl Headers {
    /// From the carrier's form.
    pub fn from_flat(flat: String) -> Self {
        Self { flat }
    }

    /// The carrier's form.
    pub fn flat(&self) -> &str {
        &self.flat
    }

    /// Name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.flat.split('\0');
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// The first value of this name, which is lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Adds one. What could end a header early is left out.
    pub fn add(&mut self, name: &str, value: &str) {
        self.flat.push_str(name);
        self.flat.push('\0');
        self.flat.extend(value.chars().filter(|c| !matches!(c, '\0' | '\r' | '\n')));
        self.flat.push('\0');
    }
}

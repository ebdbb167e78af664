//! Header lists as they cross between JavaScript and wasm: one string.

/// Names (lower case, as the Fetch standard gives them) and values, each ended
/// by NUL, which HTTP allows in neither.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers {
    flat: String,
    /// Where each name and each value ends: a list is walked several times.
    ends: Vec<u32>,
}

impl Headers {
    /// From the carrier's form. Longer than any list that the platform takes
    /// (128 KB, Workers limits of 2026-11) cannot come.
    pub fn from_flat(flat: String) -> Self {
        let nul = |(at, byte): (usize, &u8)| (*byte == 0).then_some(at as u32);
        let ends = flat.as_bytes().iter().enumerate().filter_map(nul).collect();
        Self { flat, ends }
    }

    /// The carrier's form.
    pub fn flat(&self) -> &str {
        &self.flat
    }

    /// Name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        self.ends.chunks_exact(2).map(move |ends| {
            let (name, value) = (ends[0] as usize, ends[1] as usize);
            let pair = (&self.flat[begin..name], &self.flat[name + 1..value]);
            begin = value + 1;
            pair
        })
    }

    /// The first value of this name, which is lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Adds one. What could end a header early is left out.
    pub fn add(&mut self, name: &str, value: &str) {
        self.flat.push_str(name);
        self.end();
        if value.bytes().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
            self.flat.extend(value.chars().filter(|c| !matches!(c, '\0' | '\r' | '\n')));
        } else {
            self.flat.push_str(value);
        }
        self.end();
    }

    fn end(&mut self) {
        self.ends.push(self.flat.len() as u32);
        self.flat.push('\0');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_what_crosses() {
        let mut headers = Headers::default();
        headers.add("a", "1");
        headers.add("empty", "");
        headers.add("split", "x\r\nset-cookie: y\0z");
        let list = [("a", "1"), ("empty", ""), ("split", "xset-cookie: yz")];
        assert_eq!(headers.iter().collect::<Vec<_>>(), list);
        let crossed = Headers::from_flat(headers.flat().to_owned());
        assert_eq!(crossed, headers);
        assert_eq!(crossed.get("empty"), Some(""));
        assert_eq!(crossed.get("b"), None);
        assert_eq!(Headers::from_flat("torn".into()).iter().count(), 0);
    }
}

//! How many pages a PDF has, as far as its first bytes tell.
//!
//! ISO 32000-1: a page is an object with `/Type /Page`; a linearised file says their
//! number at its beginning (`/N`, annex F). From version 1.5 on objects may be packed,
//! and then a page's stream still stands there, told from others by having no type.

/// Bytes that are looked at: some thirty pages of text. A Worker's time is short, and
/// twice as many took some 7 ms on a busy machine (2026-11-30).
pub(super) const BYTES_MAX: u64 = 256 << 10;
/// Longer words mean nothing here.
const WORD_MAX: usize = 12;

/// A PDF that is being read.
#[derive(Debug, Default)]
pub(super) struct Pages {
    read: u64,
    word: [u8; WORD_MAX],
    length: usize,
    is_name: bool,
    /// The last word was the name `Type`.
    after_type: bool,
    /// Of the object that is being read: it has a length, and it has a type.
    has_length: bool,
    is_typed: bool,
    is_linearized: bool,
    after_n: bool,
    told: u64,
    objects: u64,
    streams: u64,
}

impl Pages {
    /// The next byte; false: enough was seen.
    pub(super) fn feed(&mut self, byte: u8) -> bool {
        self.read += 1;
        if byte.is_ascii_alphanumeric() {
            if let Some(slot) = self.word.get_mut(self.length) {
                *slot = byte;
            }
            self.length += 1;
        } else {
            if self.length > 0 {
                self.word();
            }
            self.is_name = byte == b'/';
        }
        self.read < BYTES_MAX && self.told == 0
    }

    fn word(&mut self) {
        let word = self.word.get(..std::mem::take(&mut self.length)).unwrap_or_default();
        let (after_type, after_n) = (self.after_type, self.after_n);
        (self.after_type, self.after_n) = (false, false);
        match (self.is_name, word) {
            (true, b"Type") => (self.after_type, self.is_typed) = (true, true),
            (true, b"Page") if after_type => self.objects += 1,
            (true, b"Length") => self.has_length = true,
            // Of fonts, functions, pictures and packed objects.
            (true, b"Subtype" | b"Length1" | b"FunctionType" | b"W") => self.is_typed = true,
            (true, b"N") => (self.after_n, self.is_typed) = (self.is_linearized, true),
            (true, b"Linearized") => self.is_linearized = true,
            (false, b"obj") => {
                (self.has_length, self.is_typed, self.is_linearized) = (false, false, false);
            }
            (false, b"stream") => {
                self.streams += u64::from(self.has_length && !self.is_typed);
                (self.has_length, self.is_typed) = (false, false);
            }
            (false, number) if after_n => {
                let number = std::str::from_utf8(number).ok();
                self.told = number.and_then(|number| number.parse().ok()).unwrap_or_default();
            }
            _ => {}
        }
    }

    /// The pages of a file of so many bytes; none where nothing tells them.
    pub(super) fn count(&self, bytes: u64) -> Option<u64> {
        let seen = [self.told, self.objects, self.streams].into_iter().find(|pages| *pages > 0)?;
        // Of a longer file the rest is taken to be like its beginning.
        let is_part = self.told == 0 && bytes > self.read;
        Some(if is_part { seen.saturating_mul(bytes) / self.read.max(1) } else { seen })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(pdf: &[u8]) -> Option<u64> {
        let mut pages = Pages::default();
        let _ = pdf.iter().all(|byte| pages.feed(*byte));
        pages.count(pdf.len() as u64)
    }

    #[test]
    fn pages_are_told_or_counted() {
        let page = "7 0 obj\n<< /Type /Page /Parent 2 0 R >>\nendobj\n";
        let tree = "2 0 obj <</Type/Pages/Kids[7 0 R]/Count 9>> endobj\n";
        let stream =
            "4 0 obj <</Length 587 /Filter /FlateDecode>> stream\nx\x01/y\nendstream endobj\n";
        let packed =
            "5 0 obj <</Type/ObjStm/N 44/First 9/Length 12>> stream\nz\nendstream endobj\n";
        let font = "6 0 obj <</Length1 700/Length 12>>\nstream\nz\nendstream endobj\n";
        for (pdf, pages) in [
            (String::new(), None),
            (tree.to_owned(), None),
            (page.repeat(3) + tree + stream, Some(3)),
            (page.replace("/Type /Page", "/Type/Page").repeat(2), Some(2)),
            (packed.to_owned() + font + &stream.repeat(5), Some(5)),
            (
                "1 0 obj <</Linearized 1/L 54567/O 9/E 4/N 12/T 5>> endobj\n".to_owned() + page,
                Some(12),
            ),
        ] {
            assert_eq!(count(pdf.as_bytes()), pages, "{pdf}");
        }
    }

    #[test]
    fn of_a_long_file_the_rest_is_like_its_beginning() {
        let page = format!("7 0 obj <</Type /Page>> endobj {}\n", ".".repeat(4_000));
        let pdf = page.repeat(200);
        let pages = count(pdf.as_bytes()).unwrap_or_default();
        assert!((196..=204).contains(&pages), "{pages}");
    }
}

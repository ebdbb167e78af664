//! Where in a text a place is, as keys and indices.
//!
//! Found by reading the text again up to the place, only once something was
//! wrong: keeping the path while reading would be compiled into every type.

/// What is open at a place.
enum Level {
    /// An object: the last key, and whether its colon was read.
    Object(String, bool),
    /// An array: the element, once one began.
    Array(Option<usize>),
}

/// The path to byte `at` of a text that is sound up to there: keys, and indices
/// as `[0]`. A key whose colon was not read is not part of it.
pub(crate) fn path_to(text: &str, at: usize) -> Vec<String> {
    let mut levels: Vec<Level> = Vec::new();
    let mut rest = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if let Some(Level::Array(element @ None)) = levels.last_mut()
            && !byte.is_ascii_whitespace()
        {
            *element = Some(0);
        }
        match (byte, levels.last_mut()) {
            (b'"', level) => {
                let string = tail.split_at(string_end(tail)).0;
                rest = tail.get(string.len() + 1..).unwrap_or_default();
                if let Some(Level::Object(key, false)) = level {
                    *key = String::from_utf8_lossy(string).into_owned();
                }
            }
            (b'{', _) => levels.push(Level::Object(String::new(), false)),
            (b'[', _) => levels.push(Level::Array(None)),
            (b'}' | b']', _) => drop(levels.pop()),
            (b':', Some(Level::Object(_, colon))) => *colon = true,
            (b',', Some(Level::Object(_, colon))) => *colon = false,
            (b',', Some(Level::Array(Some(element)))) => *element += 1,
            _ => {}
        }
    }
    let step = |level: Level| match level {
        Level::Object(_, false) | Level::Array(None) => None,
        Level::Object(key, true) => Some(key),
        Level::Array(Some(element)) => Some(format!("[{element}]")),
    };
    levels.into_iter().filter_map(step).collect()
}

/// Where a string's closing quote is.
fn string_end(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| match byte {
        _ if std::mem::take(&mut escaped) => false,
        b'\\' => {
            escaped = true;
            false
        }
        byte => *byte == b'"',
    });
    end.unwrap_or(text.len())
}

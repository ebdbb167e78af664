//! The buffer that JavaScript writes text and bytes into. Both modules of the package
//! have one (hf/src/lib.rs takes this file in by its path).

use std::borrow::Cow;
use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The buffer, of at least so many bytes; what is in it stays. An address given
/// before is void.
#[wasm_bindgen]
pub fn room(bytes: usize) -> *mut u8 {
    ROOM.with_borrow_mut(|room| {
        if room.len() < bytes {
            room.reserve_exact(bytes - room.len());
            room.resize(bytes, 0);
        }
        room.as_mut_ptr()
    })
}

/// Gives the buffer back, after a text that was larger than most.
#[wasm_bindgen]
pub fn tidy() {
    ROOM.take();
}

/// The buffer itself, of so many bytes. There is none then: JavaScript asks for another.
pub(crate) fn take(bytes: usize) -> Vec<u8> {
    let mut room = ROOM.take();
    room.truncate(bytes);
    room
}

pub(crate) fn with_room<T>(bytes: usize, read: impl FnOnce(&[u8]) -> T) -> T {
    ROOM.with_borrow(|room| read(&room[..bytes.min(room.len())]))
}

/// The buffer's text. `encodeInto` writes nothing but UTF-8; anything else is read as
/// `TextDecoder` would.
pub(crate) fn with_text<T>(bytes: usize, read: impl FnOnce(&str) -> T) -> T {
    with_room(bytes, |room| {
        let text =
            std::str::from_utf8(room).map_or_else(|_| String::from_utf8_lossy(room), Cow::from);
        read(&text)
    })
}

/// As JavaScript does it.
#[cfg(test)]
pub(crate) fn write(text: &str) -> usize {
    room(text.len());
    ROOM.with_borrow_mut(|room| room[..text.len()].copy_from_slice(text.as_bytes()));
    text.len()
}

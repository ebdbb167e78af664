//! A contestant's o200k, asked by JavaScript the cheapest way there is: text comes
//! in one buffer, numbers go back. The same glue for all, so that what is compared
//! is the counting.

use std::cell::{OnceCell, RefCell};

#[cfg(feature = "fastokens")]
#[path = "fastokens.rs"]
mod contestant;
#[cfg(feature = "tiktoken")]
#[path = "tiktoken.rs"]
mod contestant;
#[cfg(feature = "toktok")]
#[path = "toktok.rs"]
mod contestant;

use contestant::Contestant;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static IDS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    static CONTESTANT: OnceCell<Contestant> = const { OnceCell::new() };
}

/// The buffer, of at least so many bytes. An address given before is void.
#[unsafe(no_mangle)]
pub extern "C" fn room(bytes: usize) -> *mut u8 {
    ROOM.with_borrow_mut(|room| {
        if room.len() < bytes {
            room.resize(bytes, 0);
        }
        room.as_mut_ptr()
    })
}

/// Makes the contestant; the buffer holds our vocabulary file, for those that bring
/// none of their own.
#[unsafe(no_mangle)]
pub extern "C" fn load(bytes: usize) {
    ROOM.with_borrow(|room| {
        CONTESTANT.with(|cell| {
            cell.get_or_init(|| Contestant::load(&room[..bytes]));
        });
    });
}

/// The tokens of the buffer's text.
#[unsafe(no_mangle)]
pub extern "C" fn count(bytes: usize) -> usize {
    with(bytes, |contestant, text| contestant.count(text))
}

/// How many ids the buffer's text has; they are at [`ids`].
#[unsafe(no_mangle)]
pub extern "C" fn encode(bytes: usize) -> usize {
    let ids = with(bytes, |contestant, text| contestant.encode(text));
    IDS.replace(ids);
    IDS.with_borrow(Vec::len)
}

/// Where they are.
#[unsafe(no_mangle)]
pub extern "C" fn ids() -> *const u32 {
    IDS.with_borrow(|ids| ids.as_ptr())
}

fn with<T>(bytes: usize, ask: impl FnOnce(&Contestant, &str) -> T) -> T {
    ROOM.with_borrow(|room| {
        let text = std::str::from_utf8(&room[..bytes]).expect("encodeInto writes UTF-8");
        CONTESTANT.with(|cell| ask(cell.get().expect("load() comes first"), text))
    })
}

//! Counting takes no memory: what it works in is there before, and grows with the
//! longest piece alone.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tokens::bpe::Encoding;

/// Counts what this thread asks for: the test's runner has threads of its own.
struct Counting;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Words, names, numbers, blanks and ideographs that no other number's text has, and
/// pieces that are remembered only when they come again.
fn text(number: usize) -> String {
    (0..500)
        .map(|at| {
            let n = number * 500 + at;
            let letters: String =
                (0..5).map(|place| char::from(b'a' + (n / 26_usize.pow(place) % 26) as u8)).collect();
            let ideograph = char::from_u32(0x4e00 + (n * 7 % 20_000) as u32).expect("it is one");
            let run = "=".repeat(n % 300);
            let blanks = " ".repeat(n % 90);
            format!("The {letters}Handler_{n} waits;\n{blanks}{ideograph}{letters}的{run}👩🏽\u{200d}💻é\r\n")
        })
        .collect()
}

#[test]
fn counting_and_whether_a_text_fits_allocate_nothing() {
    for encoding in Encoding::ALL {
        let mut tokenizer = common::tokenizer(encoding);
        let texts: Vec<_> = (0..4).map(text).collect();
        let longest = "=ab".repeat(50_000) + &"=".repeat(50_000);
        let first = tokenizer.count(&texts[0]) + tokenizer.count(&longest);
        let before = ASKED.get();
        let mut sum = 0;
        for text in &texts[1..] {
            // Fresh, then known.
            for _ in 0..2 {
                sum += tokenizer.count(text) + usize::from(tokenizer.fits(text, 5_000));
            }
        }
        sum += tokenizer.count(&longest);
        let asked = ASKED.get() - before;
        assert!(first > 50_000 && sum > 100_000, "{first} {sum}: too little to tell anything");
        assert_eq!(asked, 0, "{}", encoding.name());
    }
}

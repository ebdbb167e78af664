//! Reads texts and the ids that another program gave them, and compares:
//!
//!     cargo run --release -p tollgate-tokens --features vocabulary --example compare -- ENCODING FILE
//!
//! FILE is a vocabulary, gzipped. Standard input: for each text its length in bytes
//! (u32, little-endian), the text, the number of ids (u32), the ids (u32 each).
//! tests/tokens/tiktoken.test.mjs feeds it. Prints the first differences and
//! `N equal, M different`; the exit code is 1 if any differ.

use std::error::Error;
use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use tokens::bpe::{Encoding, Tokenizer, Vocabulary};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(name), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: compare ENCODING FILE".into());
    };
    let encoding = Encoding::from_name(&name).ok_or("no such encoding")?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(file)?).read_to_end(&mut bytes)?;
    let mut tokenizer = Tokenizer::new(encoding, Arc::new(Vocabulary::load(&bytes)?))?;

    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    let mut rest = input.as_slice();
    let (mut equal, mut different) = (0, 0);
    while !rest.is_empty() {
        let length = number(&mut rest)?;
        let text = std::str::from_utf8(take(&mut rest, length)?)?;
        let expected = (0..number(&mut rest)?)
            .map(|_| number(&mut rest).map(|id| id as u32))
            .collect::<Result<Vec<u32>, _>>()?;
        let found = tokenizer.encode(text);
        let count = tokenizer.count(text);
        let back = tokenizer.decode(&found)?;
        if found == expected && count == found.len() && back == text.as_bytes() {
            equal += 1;
        } else {
            different += 1;
            if different <= 5 {
                println!(
                    "{text:?}\n  expected {expected:?}\n  encoded  {found:?}\n  counted  {count}"
                );
            }
        }
    }
    println!("{name}: {equal} equal, {different} different");
    Ok(ExitCode::from(u8::from(different > 0 || equal == 0)))
}

fn number(rest: &mut &[u8]) -> Result<usize, Box<dyn Error>> {
    let bytes = take(rest, 4)?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Box<dyn Error>> {
    let (taken, left) = rest.split_at_checked(length).ok_or("the input ends too early")?;
    *rest = left;
    Ok(taken)
}

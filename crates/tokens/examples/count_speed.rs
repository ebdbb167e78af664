//! Native speed of exact counting, by kind of text:
//!
//!     cargo run --release -p tollgate-tokens --features vocabulary --example count_speed -- wasm-client/vocabularies/o200k_base.merges.gz
//!
//! *repeated*: the same text again, by the same tokenizer. *fresh*: a text that it
//! has not seen, of the same kind and with the cache as the kind before left it.
//! Other work on the machine shows in both, so compare the two, or two rows, rather
//! than two runs. The last column is the ratio to the row `prose`.

use std::error::Error;
use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs};

use tokens::bpe::{Encoding, Tokenizer, Vocabulary};

const BYTES: usize = 1 << 20;
const ROUNDS: usize = 7;

/// Its name, and what makes a text of it.
type Row = (&'static str, fn(&mut Random) -> String);

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: count_speed VOCABULARY.merges.gz")?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(&file)?).read_to_end(&mut bytes)?;
    let began = Instant::now();
    let vocabulary = Arc::new(Vocabulary::load(&bytes)?);
    println!("{}: loaded in {:.1} ms", vocabulary.name(), began.elapsed().as_secs_f64() * 1e3);
    let encoding = Encoding::from_name(vocabulary.name()).ok_or("no such encoding")?;

    let rows: [Row; 8] = [
        ("prose", |random| mix(random, PROSE, " ")),
        ("code", |random| mix(random, CODE, "\n")),
        ("chat", |random| mix(random, PROSE, " ")),
        ("mixed", |random| mix(random, MIXED, " ")),
        ("base64", |random| letters(random, BASE64)),
        ("random letters", |random| letters(random, b"abcdefghijklmnopqrstuvwxyz")),
        ("blanks", blanks),
        ("one letter", |_| "a".repeat(BYTES)),
    ];
    let mut prose = 0.0;
    println!("{:15} {:>9} {:>9} {:>9} {:>9}", "MB/s", "repeated", "fresh", "encode", "/prose");
    for (name, make) in rows {
        let mut random = Random(0x5eed);
        let texts: Vec<String> = (0..=ROUNDS).map(|_| make(&mut random)).collect();
        let mut tokenizer = Tokenizer::new(encoding, Arc::clone(&vocabulary))?;
        let mut speed = |texts: &mut dyn Iterator<Item = &String>, encode: bool| {
            let mut speeds: Vec<f64> = texts
                .map(|text| {
                    let chunk = if name == "chat" { 200 } else { text.len() };
                    let parts = chunks(text, chunk);
                    let began = Instant::now();
                    for part in parts {
                        if encode {
                            black_box(tokenizer.encode(black_box(part)));
                        } else {
                            black_box(tokenizer.count(black_box(part)));
                        }
                    }
                    text.len() as f64 / 1e6 / began.elapsed().as_secs_f64()
                })
                .collect();
            speeds.sort_by(f64::total_cmp);
            speeds[speeds.len() / 2]
        };
        let fresh = speed(&mut texts[1..].iter(), false);
        let repeated = speed(&mut std::iter::repeat_n(&texts[0], ROUNDS), false);
        let encode = speed(&mut std::iter::repeat_n(&texts[0], ROUNDS), true);
        if name == "prose" {
            prose = repeated;
        }
        println!("{name:15} {repeated:9.1} {fresh:9.1} {encode:9.1} {:9.2}", repeated / prose);
    }
    Ok(())
}

fn chunks(text: &str, size: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.floor_char_boundary(size.max(4)));
        parts.push(part);
        rest = left;
    }
    parts
}

/// Sentences in random order, with a word of the vocabulary's own making now and
/// then, so that no two texts are alike.
fn mix(random: &mut Random, source: &str, between: &str) -> String {
    let sentences: Vec<&str> = source.lines().collect();
    let mut text = String::with_capacity(BYTES + 512);
    while text.len() < BYTES {
        text.push_str(sentences[random.below(sentences.len())]);
        text.push_str(between);
        if random.below(4) == 0 {
            for _ in 0..3 + random.below(9) {
                text.push(char::from(b'a' + random.below(26) as u8));
            }
            text.push_str(between);
        }
    }
    text
}

fn letters(random: &mut Random, alphabet: &[u8]) -> String {
    let mut text = String::with_capacity(BYTES);
    while text.len() < BYTES {
        text.push(char::from(alphabet[random.below(alphabet.len())]));
        if random.below(80) == 0 {
            text.push('\n');
        }
    }
    text
}

/// Indentation and empty lines, with a sign now and then: as in the bench.
fn blanks(random: &mut Random) -> String {
    let mut text = String::with_capacity(BYTES + 64);
    while text.len() < BYTES {
        let (run, most) = [(" ", 40), ("\t", 6), ("\n", 3), ("\r\n", 1), ("}", 1)][random.below(5)];
        text.extend(std::iter::repeat_n(run, 1 + random.below(most)));
    }
    text
}

/// xorshift64: the texts are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * n) >> 31
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PROSE: &str = include_str!("../../../docs/configure.md");
const CODE: &str = include_str!("../src/bpe/tokenizer.rs");
const MIXED: &str = "\
当队列已满时，新来的人会立刻得到通知，并被告知一个可靠的时间。等待并不可耻，可耻的是许下无法兑现的承诺。
列がいっぱいになると、新しく来た人にはすぐに知らせが届き、信頼できる時刻が伝えられます。
대기열이 가득 차면 새로 온 사람에게 즉시 알려 주고 믿을 수 있는 시간을 말해 준다.
Когда очередь заполнена, новому посетителю сразу говорят об этом и называют время.
जब कतार भर जाती है, तो नए आने वाले को तुरंत बताया जाता है और एक सही समय दिया जाता है।
เมื่อคิวเต็ม ผู้มาใหม่จะได้รับแจ้งทันทีพร้อมเวลาที่เชื่อถือได้
عندما يمتلئ الطابور يُخبَر القادم الجديد فورًا ويُعطى وقتًا صادقًا.
🎉👩🏽‍💻🚀 ok 👍 so 🙂 much 🇩🇪 fun 🧑‍🤝‍🧑 !!! ✅ done ❌ failed ⚠️ warn
TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlzIHNpbmd1bGFyIHBhc3Npb24=
user_id=8f14e45f-ceea-467f-a8c1-1b2a6b7d0c9e&token=eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

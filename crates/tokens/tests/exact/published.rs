//! Ids that other tokenizers publish as their own tests' expectations.

use tokens::bpe::{Encoding, SpecialSet, Specials};

use super::tokenizer;

/// Of gpt-tokenizer, whose licence stands beside it: `data/TestPlans.txt` at commit
/// 9182f2e, 2026-11. Four lines a case.
const TEST_PLANS: &str = include_str!("gpt-tokenizer/TestPlans.txt");

#[test]
fn gpt_tokenizers_test_plans_are_met() {
    let mut tokenizers = Encoding::ALL.map(tokenizer);
    let mut cases = 0;
    let mut lines = TEST_PLANS.lines();
    while let Some(name) = lines.find_map(|line| line.strip_prefix("EncodingName: ")) {
        // Codex's edit model: its own special tokens on p50k's vocabulary.
        let name = if name == "p50k_edit" { "p50k_base" } else { name };
        let encoding = Encoding::from_name(name).expect(name);
        let mut field = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("case {cases} has its {name}"))
        };
        let text = field("Sample: ");
        let ids: Vec<u32> = field("Encoded: ")
            .split(|other: char| !other.is_ascii_digit())
            .filter_map(|id| id.parse().ok())
            .collect();
        let of = |tokenizer: &&mut tokens::bpe::Tokenizer| tokenizer.encoding() == encoding;
        let tokenizer = tokenizers.iter_mut().find(of).expect("there is one of each");
        assert_eq!(tokenizer.encode(text), ids, "{name}: {text:?}");
        cases += 1;
    }
    assert_eq!(cases, 313);
}

/// `tests/test_encoding.py` of openai/tiktoken at 4e71bbe (2026-08), its `gpt2` being
/// r50k; `tests/tiktoken.rs` of tiktoken-rs at 05279b1; `src/GptEncoding.test.ts` of
/// gpt-tokenizer at 9182f2e. All are under the MIT licence.
#[rustfmt::skip]
const LITERALS: &[(Encoding, &str, &[u32])] = &[
    (Encoding::R50kBase, "", &[]),
    (Encoding::R50kBase, "hello world", &[31373, 995]),
    (Encoding::R50kBase, "hello <|endoftext|>", &[31373, 220, 50256]),
    (Encoding::R50kBase, "0", &[15]),
    (Encoding::R50kBase, "00", &[405]),
    (Encoding::R50kBase, "000", &[830]),
    (Encoding::R50kBase, "0000", &[2388]),
    (Encoding::R50kBase, "00000", &[20483]),
    (Encoding::R50kBase, "000000", &[10535]),
    (Encoding::R50kBase, "0000000", &[24598]),
    (Encoding::R50kBase, "00000000", &[8269]),
    (Encoding::R50kBase, "000000000", &[10535, 830]),
    (Encoding::R50kBase, "0000000000", &[8269, 405]),
    (Encoding::R50kBase, "00000000000", &[8269, 830]),
    (Encoding::R50kBase, "000000000000", &[8269, 2388]),
    (Encoding::R50kBase, "0000000000000", &[8269, 20483]),
    (Encoding::R50kBase, "00000000000000", &[8269, 10535]),
    (Encoding::R50kBase, "000000000000000", &[8269, 24598]),
    (Encoding::R50kBase, "0000000000000000", &[25645]),
    (Encoding::R50kBase, "00000000000000000", &[8269, 10535, 830]),
    (Encoding::Cl100kBase, "hello world", &[15339, 1917]),
    (Encoding::Cl100kBase, "hello <|endoftext|>", &[15339, 220, 100257]),
    (Encoding::Cl100kBase, "rer", &[38149]),
    (Encoding::Cl100kBase, "'rer", &[2351, 81]),
    (Encoding::Cl100kBase, "today\n ", &[31213, 198, 220]),
    (Encoding::Cl100kBase, "today\n \n", &[31213, 27907]),
    (Encoding::Cl100kBase, "today\n  \n", &[31213, 14211]),
    (Encoding::Cl100kBase, " \u{85}0", &[220, 126, 227, 15]),
    (Encoding::Cl100kBase, "👍", &[9468, 239, 235]),
    (Encoding::P50kBase, "hello world", &[31373, 995]),
    (Encoding::P50kBase, "This is a test         with a lot of spaces<|endoftext|>",
        &[1212, 318, 257, 1332, 50263, 351, 257, 1256, 286, 9029, 50256]),
    (Encoding::R50kBase, "This is a test         with a lot of spaces<|endoftext|>",
        &[1212, 318, 257, 1332, 220, 220, 220, 220, 220, 220, 220, 220, 351, 257, 1256, 286, 9029, 50256]),
    (Encoding::Cl100kBase, "This is a test         with a lot of spaces<|endoftext|>",
        &[2028, 374, 264, 1296, 260, 449, 264, 2763, 315, 12908, 100257]),
    (Encoding::O200kBase, "This is a test         with a lot of spaces<|endoftext|>",
        &[2500, 382, 261, 1746, 269, 483, 261, 3261, 328, 18608, 199999]),
    (Encoding::O200kBase, "indivisible", &[521, 349, 181_386]),
    (Encoding::O200kBase, "hello 👋 world 🌍", &[24_912, 61_138, 233, 2_375, 130_321, 235]),
    (Encoding::O200kBase, "toString constructor hasOwnProperty valueOf",
        &[935, 916, 9_220, 853, 18_555, 3_895, 1_432, 2_566]),
    (Encoding::O200kBase, "hello, I am a text, and I have commas. a,b,c",
        &[24_912, 11, 357, 939, 261, 2_201, 11, 326, 357, 679, 179_663, 13, 261, 17_568, 22_261]),
    (Encoding::Cl100kBase, "indivisible", &[485, 344, 23_936]),
    (Encoding::Cl100kBase, "hello 👋 world 🌍", &[15_339, 62_904, 233, 1_917, 11_410, 234, 235]),
    (Encoding::Cl100kBase, "toString constructor hasOwnProperty valueOf",
        &[6_712, 4_797, 706, 19_964, 907, 2_173]),
    (Encoding::Cl100kBase, "hello, I am a text, and I have commas. a,b,c",
        &[15_339, 11, 358, 1_097, 264, 1_495, 11, 323, 358, 617, 77_702, 13, 264, 8_568, 10_317]),
    (Encoding::P50kBase, "hello 👋 world 🌍", &[31_373, 50_169, 233, 995, 12_520, 234, 235]),
    (Encoding::P50kBase, "toString constructor hasOwnProperty valueOf",
        &[1_462, 10_100, 23_772, 468, 23_858, 21_746, 1_988, 5_189]),
];

#[test]
fn what_peers_tests_expect_is_what_comes() {
    let all = Specials { allowed: SpecialSet::All, disallowed: SpecialSet::None };
    for encoding in Encoding::ALL {
        let mut tokenizer = tokenizer(encoding);
        for &(_, text, ids) in LITERALS.iter().filter(|(of, ..)| *of == encoding) {
            let found = tokenizer.encode_with_specials(text, &all);
            assert_eq!(found.as_deref(), Ok(ids), "{}: {text:?}", encoding.name());
        }
    }
}

//! Prompts that the provider reads from its cache: limits count what is not read,
//! budgets reserve all of it.

mod common;

use common::*;
use limits::message::{Admit, CachedPrompt, Call, Event, Settle, Used, VERSION};
use limits::{Answer, Input};

const INPUT: u64 = 10_000;
const UNREAD: u64 = 500;

fn ask(ticket: &str) -> Admit {
    let cached = Some(CachedPrompt { prefix: 1, hour: false });
    Admit { input_tokens: INPUT, cached, patience_ms: 0, ..admit(ticket, "a") }
}

/// The provider counted so much of the input.
fn answered(ticket: &str, input: u64) -> Event {
    let (input_total, output, microusd) = (INPUT, 100, 1_000);
    let used = Used::Tokens { input, input_total, output, microusd, estimated: false };
    let Event::Settled(mut settle) = settle(ticket, "a", used) else { panic!("a settlement") };
    (settle.input_estimate, settle.cached) = (INPUT, ask(ticket).cached);
    Event::Settled(settle)
}

/// A Gate that met the prompt twice: it was written, then read.
fn warm() -> Shell {
    warm_of(30_000)
}

fn warm_of(itpm: u64) -> Shell {
    let mut shell = Shell::new(settings(60_000, itpm, 100_000_000), r#"{"a":{}}"#);
    for (ticket, counted) in [("writes", INPUT), ("reads", UNREAD)] {
        assert!(is_granted(&shell.admit(ask(ticket))));
        shell.event(answered(ticket, counted));
        // Past the share of a second that requests have.
        shell.now += 1;
    }
    shell
}

/// How many of these in a row are granted before one is not.
fn granted(shell: &mut Shell, ask: impl Fn(&str) -> Admit) -> u64 {
    (0..1_000).take_while(|n| is_granted(&shell.admit(ask(&format!("{n}"))))).count() as u64
}

/// What is left of a minute's input, less the margin of 1.5 %.
const LEFT: u64 = 30_000 - 450 - INPUT - UNREAD;

#[test]
fn what_was_read_so_far_is_not_reserved_of_the_input_limit() {
    let mut shell = warm();
    assert_eq!(granted(&mut shell, ask), LEFT / UNREAD);
}

#[test]
fn a_prompt_that_is_not_marked_or_not_met_is_reserved_in_full() {
    let mut shell = warm();
    let other = Some(CachedPrompt { prefix: 2, hour: false });
    assert_eq!(granted(&mut shell.clone(), |id| Admit { cached: None, ..ask(id) }), LEFT / INPUT);
    assert_eq!(granted(&mut shell, |id| Admit { cached: other, ..ask(id) }), LEFT / INPUT);
}

#[test]
fn a_request_that_the_provider_refused_is_reserved_in_full() {
    let mut shell = warm();
    let again = Admit { attempt: 1, patience_ms: 30_000, ..ask("again") };
    assert!(is_granted(&shell.admit(again)));
    assert_eq!(granted(&mut shell, ask), (LEFT - INPUT) / UNREAD);
}

/// A conversation that has grown beyond the limit, of which each turn adds little: a Gate
/// that has just started knows nothing of what is read of it, nor does a second attempt.
#[test]
fn a_prompt_beyond_the_limit_that_is_read_from_the_cache_is_not_refused_for_good() {
    let tenants = r#"{"a":{"limits":{"itpm":8000}}}"#;
    let mut shell = Shell::new(settings(60_000, 8_000, 100_000_000), tenants);
    let mut goes = |ticket: &str, attempt: u32| {
        let ask = Admit { attempt, patience_ms: 30_000, ..ask(ticket) };
        shell.admit(ask.clone());
        // Of full buckets, and what margins change.
        shell.pass(10_000);
        assert!(is_granted(&shell.admit(ask)), "{ticket}, attempt {attempt}");
        let event = if ticket == "first" && attempt == 0 {
            shell.event(Event::Observed(observed(ticket, 429, None)));
            settle(ticket, "a", Used::Nothing)
        } else {
            answered(ticket, UNREAD)
        };
        let Event::Settled(settle) = event else { unreachable!() };
        shell.event(Event::Settled(Settle { attempt, ..settle }));
    };
    goes("first", 0);
    goes("first", 1);
    goes("second", 0);
    let unmarked = Admit { cached: None, ..ask("unmarked") };
    assert_eq!(reason(&shell.admit(unmarked)), "TooLarge");
}

#[test]
fn budgets_reserve_all_of_the_prompt() {
    let mut shell = warm();
    assert!(is_granted(&shell.admit(ask("t"))));
    assert_eq!(shell.totals()["tenant/a"].reserved.tokens, INPUT + 1_000);
    assert_eq!(shell.totals()["tenant/a"].spent.tokens, 2 * (INPUT + 100));
}

#[test]
fn lent_tickets_hold_the_whole_prompt() {
    // An eighth of the limit holds many of what is not read, and one in full.
    let mut shell = warm_of(300_000);
    let lease = |shell: &mut Shell, ask: Admit| {
        let call = Call { v: VERSION, admit: Some(ask), lend: 64, ..Call::default() };
        let Answer::Reply(reply) = shell.step(Input::Call(call)).reply else { panic!("a reply") };
        assert!(reply.decision.as_ref().is_some_and(is_granted));
        reply.lease
    };
    assert_eq!(lease(&mut shell.clone(), ask("t")), None);
    let small = Admit { input_tokens: UNREAD, cached: None, ..ask("t") };
    assert!(lease(&mut shell, small).is_some());
}

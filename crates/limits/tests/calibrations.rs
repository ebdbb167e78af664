//! What the provider counts teaches what the next requests are taken for.

mod common;

use common::*;
use limits::message::{Admit, Calibration, Event, Settle, Used};
use limits::{Answer, Input};

/// A hundred requests of the estimate a minute.
const ITPM: u64 = 100_000;
const KINDS: [u64; 8] = [900, 0, 0, 0, 0, 0, 0, 100];

fn ask(ticket: &str) -> Admit {
    Admit { kinds: KINDS, patience_ms: 0, ..admit(ticket, "t") }
}

/// The provider counted so many tokens of one such request.
fn counted(ticket: &str, input: u64) -> Event {
    let used =
        Used::Tokens { input, input_total: input, output: 10, microusd: 1_000, estimated: false };
    let Event::Settled(settle) = settle(ticket, "t", used) else { unreachable!() };
    Event::Settled(Settle { kinds: KINDS, ..settle })
}

fn taught(input: u64) -> Shell {
    taught_beside(input, r#"{"t":{}}"#)
}

/// A hundred requests, a minute apart so that no limit is near.
fn taught_beside(input: u64, tenants: &str) -> Shell {
    let mut shell = Shell::new(settings(60_000, ITPM, 100_000_000), tenants);
    for n in 0..100 {
        let ticket = format!("before{n}");
        assert!(is_granted(&shell.admit(ask(&ticket))));
        shell.event(counted(&ticket, input));
        shell.pass(60_000);
    }
    shell
}

fn granted(shell: &mut Shell, ask: impl Fn(&str) -> Admit) -> usize {
    (0..300).filter(|n| is_granted(&shell.admit(ask(&format!("t{n}"))))).count()
}

fn told(shell: &mut Shell) -> Vec<(String, Calibration)> {
    let view = Input::View { tenant: "t".into(), user: None, account_scope: false, visitor: None };
    match shell.step(view).reply {
        Answer::View(view) => view.calibrations,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_that_counts_more_is_admitted_less() {
    // The burst is the limit less 1.5 % of it.
    for (input, most) in [(1_000, 98), (2_000, 49), (500, 197)] {
        let granted = granted(&mut taught(input), ask);
        assert!(granted <= most && granted * 100 >= most * 97, "{input}: {granted} of {most}");
    }
    assert_eq!(granted(&mut taught(2_000), |id| Admit { kinds: [0; 8], ..ask(id) }), 98);
}

#[test]
fn what_others_taught_makes_a_request_wait_and_never_refuses_it_for_good() {
    let mut shell = taught_beside(2_000, r#"{"t":{},"small":{"limits":{"itpm":1500}}}"#);
    let small = |ticket: &str, input: u64| Admit {
        kinds: [input - 100, 0, 0, 0, 0, 0, 0, 100],
        input_tokens: input,
        patience_ms: 0,
        ..admit(ticket, "small")
    };
    assert!(is_granted(&shell.admit(small("first", 1_000))), "some 2,000 of 1,500");
    assert_eq!(reason(&shell.admit(small("second", 1_000))), "TenantLimit");
    assert_eq!(reason(&shell.admit(small("large", 1_600))), "TooLarge");
}

#[test]
fn only_what_the_provider_counted_of_these_kinds_teaches() {
    let mut shell = taught(1_000);
    let before = told(&mut shell);
    let mut n = 0;
    let mut tell = |shell: &mut Shell, change: &dyn Fn(Settle) -> Settle| {
        n += 1;
        let ticket = format!("odd{n}");
        assert!(is_granted(&shell.admit(ask(&ticket))));
        let Event::Settled(settle) = counted(&ticket, 3_000) else { unreachable!() };
        shell.event(Event::Settled(change(settle)));
        shell.pass(60_000);
    };
    let estimated =
        Used::Tokens { input: 3_000, input_total: 3_000, output: 10, microusd: 1, estimated: true };
    tell(&mut shell, &|settle| Settle { kinds: [0; 8], ..settle });
    tell(&mut shell, &|settle| Settle { used: estimated, ..settle });
    tell(&mut shell, &|settle| Settle { used: Used::Nothing, ..settle });
    assert_eq!(told(&mut shell), before);
    tell(&mut shell, &|settle| settle);
    assert_ne!(told(&mut shell), before);
}

#[test]
fn it_is_told_to_tenants_and_outlives_a_restart() {
    let mut shell = taught(1_500);
    let before = told(&mut shell);
    let [(model, Calibration { weights, lower, upper })] = before.as_slice() else {
        panic!("{before:?}")
    };
    assert_eq!(model, "claude-sonnet-5-5");
    assert!((1_400..=1_600).contains(&weights[0]), "{weights:?}");
    assert!(lower[1] > 900 && upper[1] < 1_100, "{before:?}");
    shell.restart();
    assert_eq!(told(&mut shell), before);
    let nobody =
        Input::View { tenant: "nobody".into(), user: None, account_scope: false, visitor: None };
    let Answer::View(view) = shell.step(nobody).reply else { panic!("a view") };
    assert_eq!(view.calibrations, []);
}

#[test]
fn of_a_prompt_that_was_read_from_the_cache_the_whole_teaches() {
    let mut shell = taught(2_000);
    // Three quarters are read, which the input limit does not count.
    let cached = Some(limits::message::CachedPrompt { prefix: 1, hour: false });
    for n in 0..20 {
        let ticket = format!("cached{n}");
        assert!(is_granted(&shell.admit(Admit { cached, ..ask(&ticket) })));
        let input = if n == 0 { 2_000 } else { 500 };
        let used = Used::Tokens {
            input,
            input_total: 2_000,
            output: 10,
            microusd: 1_000,
            estimated: false,
        };
        let Event::Settled(settle) = settle(&ticket, "t", used) else { unreachable!() };
        shell.event(Event::Settled(Settle { kinds: KINDS, cached, ..settle }));
        shell.pass(10_000);
    }
    let all = granted(&mut shell.clone(), ask);
    let unread = granted(&mut shell, |id| Admit { cached, ..ask(id) });
    assert!((4 * all - 4..=4 * all + 4).contains(&unread), "{unread} of {all}");
}

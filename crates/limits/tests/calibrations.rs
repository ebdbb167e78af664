//! What the provider counts teaches what the next requests are taken for.

mod common;

use common::*;
use limits::admin::Amounts;
use limits::jobs::{JobInput, JobReply};
use limits::message::{
    Admit, Calibration, Call, Decision, EndUser, Event, Refusal, Settle, Used, VERSION,
    VisitorBounds,
};
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

/// Of a tenant's text alone, so many tokens by the estimate; a thousand of output.
fn of_text(ticket: &str, tenant: &str, input: u64) -> Admit {
    Admit {
        kinds: [input - 100, 0, 0, 0, 0, 0, 0, 100],
        input_tokens: input,
        patience_ms: 0,
        ..admit(ticket, tenant)
    }
}

fn refusal(decision: Decision) -> Refusal {
    match decision {
        Decision::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_budget_that_a_request_is_too_large_for_by_what_others_taught_lets_it_in_alone() {
    let tenants = r#"{"t":{},"small":{"budgets":[{"window":"day","tokens":2500}]}}"#;
    let mut shell = taught_beside(2_000, tenants);
    shell.pass(86_400_000 - shell.now % 86_400_000);
    let small = |ticket: &str, input| of_text(ticket, "small", input);
    let too_large = refusal(shell.admit(small("large", 1_501)));
    assert_eq!(format!("{:?}", too_large.reason), "TooLarge", "2,501 by the estimate");
    assert!(is_granted(&shell.admit(small("first", 1_000))), "2,000 by it, 3,000 by the counts");
    // What can be owed is held, though the budget is smaller, so nobody else is let in.
    let held = shell.totals()["tenant/small"].reserved.tokens;
    assert!((2_900..=3_200).contains(&held), "{held}");
    let tiny = Admit { max_tokens: 1, ..small("tiny", 101) };
    let (waits, bounded) = (refusal(shell.admit(tiny.clone())), small("second", 1_000));
    assert!(waits.retry_after_ms.is_some(), "until the first has ended: {waits:?}");
    // It used less; then the rest is for what fits by all that is known.
    let Event::Settled(ended) = counted("first", 1_000) else { unreachable!() };
    let (tenant, key) = ("small".to_owned(), "k-small".to_owned());
    shell.event(Event::Settled(Settle { tenant, key, ..ended }));
    assert!(is_granted(&shell.admit(Admit { ticket: "again".into(), ..tiny })));
    let tomorrow = refusal(shell.admit(bounded.clone()));
    assert_eq!(format!("{:?}", tomorrow.reason), "BudgetSpent");
    assert_eq!(tomorrow.retry_after_ms, Some(86_400_000 - shell.now % 86_400_000));
    shell.pass(86_400_000);
    let third = Admit { ticket: "third".into(), ..bounded };
    assert!(is_granted(&shell.admit(third)), "the next day's is whole again");
}

#[test]
fn a_visitor_token_is_used_up_by_estimates_and_not_by_what_others_taught() {
    let tenants = r#"{"t":{},"pages":{"publishable":{"origins":["https://a.example"],
        "models":["claude-sonnet-*"],"max_tokens":1000,"system":"Be kind.",
        "visitor":{"limits":{"rpm":100}},"usd_day":"100"}}}"#;
    let mut shell = taught_beside(2_000, tenants);
    let ends_ms = shell.now + 600_000;
    let ask = |shell: &mut Shell, ticket: &str, input| {
        let user = Some(EndUser::Visitor("ann").text());
        let admit = Some(Admit { user, ..of_text(ticket, "pages", input) });
        let visitor =
            VisitorBounds { token: "a".into(), ends_ms, tokens: Some(5_000), microusd: None };
        let call = Call { v: VERSION, admit, visitor: Some(visitor), ..Call::default() };
        match shell.step(Input::Call(call)).reply {
            Answer::Reply(reply) => reply.decision.expect("an admit is decided"),
            other => panic!("{other:?}"),
        }
    };
    let settled = |ticket: &str| {
        let Event::Settled(ended) = counted(ticket, 1_490) else { unreachable!() };
        let (tenant, key) = ("pages".to_owned(), "k-pages".to_owned());
        let user = Some(EndUser::Visitor("ann").text());
        Event::Settled(Settle { tenant, key, user, ..ended })
    };
    let large = refusal(ask(&mut shell, "large", 4_001));
    assert_eq!(format!("{:?}", large.reason), "TooLarge");
    assert!(is_granted(&ask(&mut shell, "first", 4_000)), "9,000 by the counts");
    let waits = refusal(ask(&mut shell, "second", 1_000));
    assert!(waits.retry_after_ms.is_some(), "while the first holds all: {waits:?}");
    shell.event(settled("first"));
    // 3,500 are left.
    assert_eq!(reason(&ask(&mut shell, "third", 2_501)), "BudgetSpent");
    assert!(is_granted(&ask(&mut shell, "fourth", 2_500)), "6,000 by the counts");
}

#[test]
fn a_job_that_a_request_is_too_large_for_by_what_others_taught_gives_it_all_that_is_left() {
    let mut shell = taught(2_000);
    let amounts = Amounts { requests: 9, tokens: 2_500, microusd: 90_000 };
    let ask = |shell: &mut Shell, input| {
        let input = Input::Job { tenant: "t".into(), key: "k-t".into(), input };
        match shell.step(input).reply {
            Answer::Job(JobReply::Job(job)) => job,
            other => panic!("{other:?}"),
        }
    };
    let reserve = JobInput::Reserve { id: "j".into(), amounts, ttl_ms: 3_600_000 };
    ask(&mut shell, reserve);
    let of_job =
        |ticket: &str, input| Admit { job: Some("j".into()), ..of_text(ticket, "t", input) };
    let large = refusal(shell.admit(of_job("large", 1_501)));
    assert_eq!((format!("{:?}", large.reason), large.retry_after_ms), ("JobSpent".into(), None));
    assert!(is_granted(&shell.admit(of_job("first", 1_000))), "3,000 by the counts");
    let job = ask(&mut shell, JobInput::Show { id: "j".into() });
    assert_eq!((job.held.tokens, job.left.tokens), (2_500, 0));
    for scope in ["tenant/t", "deployment"] {
        assert_eq!(shell.totals()[scope].reserved.tokens, 2_500, "{scope}");
    }
    let waits = refusal(shell.admit(of_job("second", 1_000)));
    assert!(waits.retry_after_ms.is_some(), "until the first has ended: {waits:?}");
    let Event::Settled(ended) = counted("first", 3_000) else { unreachable!() };
    shell.event(Event::Settled(Settle { job: Some("j".into()), ..ended }));
    let job = ask(&mut shell, JobInput::Show { id: "j".into() });
    assert_eq!((job.used.tokens, job.held.tokens, job.left.tokens), (3_010, 0, 0));
    assert_eq!(shell.totals()["tenant/t"].reserved, job.left);
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

//! A job that a restart finds in the rows: held once, with what it had left.

use super::*;

#[test]
fn a_restart_keeps_the_job_and_counts_no_more_than_its_open_calls() {
    let mut shell = shell();
    job(reserve(&mut shell, "j", amounts(8, 16_000, 800_000)));
    for ticket in ["a", "b"] {
        assert_eq!(shell.admit(call(ticket, "j")), GRANTED);
    }
    shell.event(used("a", "t", 1_000, 1_000));
    shell.restart();
    let view = show(&mut shell, "j");
    assert_eq!((view.used.requests, view.left.requests), (2, 6));
    let day = &shell.totals()["tenant/t"];
    assert_eq!(day.reserved.requests, 6, "the job holds its rest again");
    assert!(day.spent.requests >= 2 && day.spent.requests + day.reserved.requests <= 10);
    // The one that ran settles late: it was counted already.
    shell.pass(1_000);
    shell.event(used("b", "t", 1_000, 1_000));
    for n in 0..6 {
        shell.pass(1_000);
        assert_eq!(shell.admit(call(&format!("c{n}"), "j")), GRANTED);
    }
    assert_eq!(reason(shell.admit(call("d", "j"))), Reason::JobSpent);
}

#[test]
fn a_call_that_waited_at_a_crash_finds_the_job_as_it_was() {
    let mut shell = Shell::new(settings(60, 1_000_000, 1_000_000), TENANTS);
    job(reserve(&mut shell, "j", amounts(2, 4_000, 20_000)));
    assert_eq!(shell.admit(call("a", "j")), GRANTED);
    // The job's last call waits for the second to pass.
    let last = Admit { patience_ms: 60_000, ..call("b", "j") };
    assert!(matches!(shell.admit(last.clone()), Decision::Queued { .. }));
    assert_eq!(show(&mut shell, "j").left, amounts(0, 0, 0));
    shell.restart();
    // Whoever ran may have used it all, whoever waited has used nothing.
    let view = show(&mut shell, "j");
    assert_eq!((view.used, view.left), (amounts(1, 2_000, 10_000), amounts(1, 2_000, 10_000)));
    assert!(matches!(shell.admit(last.clone()), Decision::Queued { .. }));
    shell.pass(5_000);
    assert!(matches!(shell.admit(last), Decision::Granted { .. }));
    // From its grant on it counts.
    shell.restart();
    assert_eq!(show(&mut shell, "j").left, amounts(0, 0, 0));
}

#[test]
fn a_job_of_yesterday_outlives_a_restart_today() {
    let mut shell = shell();
    let all = amounts(10, 20_000, 1_000_000);
    ask(&mut shell, "t", JobInput::Reserve { id: "j".into(), amounts: all, ttl_ms: 3 * DAY });
    shell.now += DAY;
    shell.restart();
    assert_eq!(show(&mut shell, "j").left, all);
    assert_eq!(shell.totals()["tenant/t"].reserved, all);
    assert_eq!(shell.totals()["deployment"].reserved, all);
    ask(&mut shell, "t", JobInput::Release { id: "j".into() });
    assert_eq!(shell.totals()["tenant/t"].reserved, Amounts::default());
}

/// Whatever the window, and also where it ends in between: a restart knows what the job
/// has left, holds it once, and gives all of it back at its end.
#[test]
fn a_job_is_held_once_through_restarts_in_any_window() {
    let windows = [
        r#""window": "day""#,
        r#""window": "week""#,
        r#""window": "week", "starts": "wednesday""#,
        r#""window": "month""#,
        r#""window": "month", "starts": "rolling""#,
        r#""window": "week", "models": ["claude-sonnet-*"]"#,
    ];
    for window in windows {
        let tenants = format!(r#"{{"t": {{"budgets": [{{{window}, "requests": 100}}]}}}}"#);
        let mut shell = Shell::new(settings(100_000, 100_000_000, 100_000_000), &tenants);
        let all = amounts(90, 1_000_000, 1_000_000);
        job(ask(
            &mut shell,
            "t",
            JobInput::Reserve { id: "j".into(), amounts: all, ttl_ms: 3 * DAY },
        ));
        for n in 0..10 {
            let ticket = format!("job{n}");
            assert_eq!(shell.admit(call(&ticket, "j")), GRANTED, "{window}");
            shell.event(used(&ticket, "t", 1_000, 0));
        }
        // Quiet, so that the rows are exact, and a restart: at once, on the next day and
        // on the one after it.
        shell.pass(60_000);
        for day in 0..3 {
            restart(&mut shell);
            assert_eq!(show(&mut shell, "j").left.requests, 80, "{window}, {day}");
            let held = shell.totals()["tenant/t"].reserved.requests;
            assert_eq!(held, 80, "{window}, {day}");
            let plain =
                |n: u64| Admit { patience_ms: 0, ..admit(&format!("{window}{day}{n}"), "t") };
            assert_eq!(shell.admit(plain(0)), GRANTED, "{window}, {day}");
            shell.event(settle(&plain(0).ticket, "t", Used::Nothing));
            shell.pass(60_000);
            if day < 2 {
                shell.now += DAY;
            }
        }
        restart(&mut shell);
        ask(&mut shell, "t", JobInput::Release { id: "j".into() });
        let mut granted = 0;
        while granted < 100
            && shell.admit(Admit { patience_ms: 0, ..admit(&format!("after{granted}"), "t") })
                == GRANTED
        {
            granted += 1;
        }
        // In a window that lasts ten were used by the job's calls.
        assert!((90..=100).contains(&granted), "{window}: {granted}");
    }
}

use super::*;

/// 2026-11-23, a Monday, 00:00 UTC.
const MONDAY: Millis = 1_795_392_000_000;

fn budgets(json: &str, now: Millis) -> Budgets {
    let mut budgets = Budgets::restored(None, Vec::new(), now);
    budgets.configure(&of(json), &known(json), now);
    budgets
}

fn of(json: &str) -> Vec<Budget> {
    json::from_str(json).expect("sound budgets")
}

fn known(json: &str) -> Known {
    let mut known = Known::default();
    known.learn(&of(json));
    known
}

fn tokens(budgets: &Budgets, tokens: u64, now: Millis) -> Option<(&'static str, Shut)> {
    shut(budgets, tokens, 0, false, now)
}

fn shut(
    budgets: &Budgets,
    tokens: u64,
    lists: Lists,
    is_background: bool,
    now: Millis,
) -> Option<(&'static str, Shut)> {
    let refused = budgets.refuses(&[1, tokens, 0], &[1, tokens, 0], lists, is_background, now);
    refused.map(|(kind, _, shut)| (kind, shut))
}

fn spend(budgets: &mut Budgets, tokens: u64, now: Millis) {
    budgets.roll(now);
    budgets.settle(&[0; 3], &[1, tokens, 0], 0);
}

#[test]
fn a_budget_tells_spent_from_held_from_too_large() {
    let mut day = budgets(r#"[{"window":"day","tokens":100}]"#, MONDAY);
    day.reserve(&[1, 60, 0], 0);
    for (need, shut) in [
        (40, None),
        (41, Some(("tokens_day", Shut::Held(DAY_MS)))),
        (100, Some(("tokens_day", Shut::Held(DAY_MS)))),
        (101, Some(("tokens_day", Shut::TooLarge))),
    ] {
        assert_eq!(tokens(&day, need, MONDAY), shut, "{need}");
    }
    day.settle(&[1, 60, 0], &[1, 50, 7], 0);
    assert_eq!(tokens(&day, 50, MONDAY), None);
    assert_eq!(tokens(&day, 51, MONDAY), Some(("tokens_day", Shut::Spent(DAY_MS))));
    day.roll(MONDAY + DAY_MS - 1);
    assert_eq!(day.left(1, 0, MONDAY + DAY_MS - 1), Some(50));
    day.roll(MONDAY + DAY_MS);
    assert_eq!(day.left(1, 0, MONDAY + DAY_MS), Some(100));
}

#[test]
fn of_several_what_shuts_longest_is_told() {
    let json = r#"[{"window":"day","tokens":100},{"window":"week","tokens":150},{"window":"month","requests":9}]"#;
    let mut three = budgets(json, MONDAY);
    spend(&mut three, 90, MONDAY);
    assert_eq!(tokens(&three, 20, MONDAY), Some(("tokens_day", Shut::Spent(DAY_MS))));
    let tuesday = MONDAY + DAY_MS;
    spend(&mut three, 60, tuesday);
    assert_eq!(tokens(&three, 1, tuesday), Some(("tokens_week", Shut::Spent(6 * DAY_MS))));
    let lefts = three.lefts(0, tuesday);
    let told = lefts.iter().map(|left| (left.kind, left.level, left.ends_in / DAY_MS));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("tokens_day", 40, 1), ("tokens_week", 0, 6), ("requests_month", 7, 7)]);
    // A new week, not a new month.
    three.roll(MONDAY + 7 * DAY_MS);
    assert_eq!(
        (three.left(1, 0, MONDAY + 7 * DAY_MS), three.left(0, 0, MONDAY + 7 * DAY_MS)),
        (Some(100), Some(7))
    );
}

#[test]
fn a_paced_week_keeps_each_day_its_share_and_background_its_hours() {
    let json = r#"[{"window":"week","tokens":700,"pace":"even"}]"#;
    let mut week = budgets(json, MONDAY);
    assert_eq!(tokens(&week, 100, MONDAY), None);
    spend(&mut week, 100, MONDAY);
    // Larger than a day's share, not than the week's: when enough of it is open.
    assert_eq!(tokens(&week, 100, MONDAY), Some(("tokens_week", Shut::Spent(DAY_MS))));
    assert_eq!(tokens(&week, 250, MONDAY), Some(("tokens_week", Shut::Spent(3 * DAY_MS))));
    assert_eq!(tokens(&week, 650, MONDAY), Some(("tokens_week", Shut::Spent(13 * DAY_MS))));
    assert_eq!(tokens(&week, 701, MONDAY), Some(("tokens_week", Shut::TooLarge)));
    // Of Tuesday's share background work finds a half at noon.
    let noon = MONDAY + DAY_MS * 3 / 2;
    week.roll(noon);
    let background = |tokens| shut(&week, tokens, 0, true, noon);
    assert_eq!(background(50), None);
    assert_eq!(background(52), Some(("tokens_week", Shut::Spent(DAY_MS / 24))));
    assert_eq!(tokens(&week, 100, noon), None);
    // What was left on Tuesday is open on Wednesday.
    let wednesday = MONDAY + 2 * DAY_MS;
    week.roll(wednesday);
    assert_eq!(week.left(1, 0, wednesday), Some(200));
}

#[test]
fn a_month_that_moves_along_forgets_a_day_after_thirty() {
    let json = r#"[{"window":"month","starts":"rolling","tokens":100}]"#;
    let mut month = budgets(json, MONDAY);
    spend(&mut month, 60, MONDAY);
    spend(&mut month, 30, MONDAY + 10 * DAY_MS);
    let now = MONDAY + 12 * DAY_MS;
    month.roll(now);
    assert_eq!(month.left(1, 0, now), Some(10));
    assert_eq!(tokens(&month, 70, now), Some(("tokens_month", Shut::Spent(18 * DAY_MS))));
    assert_eq!(tokens(&month, 71, now), Some(("tokens_month", Shut::Spent(28 * DAY_MS))));
    // A restart keeps every day.
    month.raise_ceilings(&Durability::default(), MONDAY);
    month.tighten();
    let (day, books) = month.row();
    let mut again = Budgets::restored(Some(day), books, now);
    again.configure(&of(json), &known(json), now);
    assert_eq!(again.left(1, 0, now), Some(10));
    for (budgets, days, left) in [(&mut month, 29, 10), (&mut again, 30, 70)] {
        let at = MONDAY + days * DAY_MS;
        budgets.roll(at);
        assert_eq!(budgets.left(1, 0, at), Some(left), "{days}");
    }
}

#[test]
fn other_amounts_keep_what_is_spent_and_another_window_counts_anew() {
    let json = r#"[{"window":"week","tokens":100}]"#;
    let mut week = budgets(json, MONDAY);
    spend(&mut week, 60, MONDAY);
    let larger = r#"[{"window":"week","tokens":200},{"window":"month","tokens":150}]"#;
    week.configure(&of(larger), &known(larger), MONDAY);
    let lefts: Vec<_> = week.lefts(0, MONDAY).iter().map(|left| (left.kind, left.level)).collect();
    assert_eq!(lefts, [("tokens_week", 140), ("tokens_month", 150)]);
}

#[test]
fn a_budget_of_models_counts_only_them() {
    let json = r#"[{"window":"day","tokens":100,"models":["claude-opus-*"]}]"#;
    let mut opus = budgets(json, MONDAY);
    let known = known(json);
    let (opus_on, haiku_on) = (known.lists_of("claude-opus-5"), known.lists_of("claude-haiku-5"));
    assert_eq!((opus_on, haiku_on), (1, 0));
    opus.reserve(&[1, 70, 0], haiku_on);
    opus.reserve(&[1, 70, 0], opus_on);
    assert_eq!(shut(&opus, 31, haiku_on, false, MONDAY), None);
    assert_eq!(shut(&opus, 31, opus_on, false, MONDAY), Some(("tokens_day", Shut::Held(DAY_MS))));
    opus.settle(&[1, 70, 0], &[1, 70, 0], haiku_on);
    opus.settle(&[1, 70, 0], &[1, 10, 0], opus_on);
    assert_eq!(shut(&opus, 90, opus_on, false, MONDAY), None);
    // It says nothing of other models.
    assert_eq!((opus.left(1, 0, MONDAY), opus.has_lists()), (None, true));
    assert_eq!(opus.lefts(0, MONDAY)[0].models, ["claude-opus-*"]);
}

#[test]
fn what_is_reached_is_told_once_a_window_and_soft_budgets_refuse_nothing() {
    let json = r#"[{"window":"day","tokens":100,"hard":false},{"window":"week","tokens":100}]"#;
    let mut both = budgets(json, MONDAY);
    let mut told = |tokens, now| {
        spend(&mut both, tokens, now);
        let reached = both.reached().into_iter();
        reached.map(|of| (of.kind, of.percent, of.is_hard)).collect::<Vec<_>>()
    };
    assert_eq!(told(79, MONDAY), []);
    assert_eq!(told(1, MONDAY), [("tokens_day", 80, false), ("tokens_week", 80, true)]);
    assert_eq!(told(1, MONDAY), []);
    assert_eq!(told(40, MONDAY), [("tokens_day", 100, false), ("tokens_week", 100, true)]);
    assert_eq!(told(90, MONDAY + DAY_MS), [("tokens_day", 80, false)]);
    let soft = r#"[{"window":"day","tokens":100,"hard":false}]"#;
    both.configure(&of(soft), &known(soft), MONDAY + DAY_MS);
    assert_eq!(tokens(&both, 1_000, MONDAY + DAY_MS), None);
    assert!(both.lefts(0, MONDAY + DAY_MS).is_empty() && both.reached().is_empty());
}

#[test]
fn the_ceiling_is_never_below_the_spend_and_tightens_near_the_limit() {
    let mut day = budgets(r#"[{"window":"day","requests":1000}]"#, MONDAY);
    let durability = Durability::default();
    let mut writes = Vec::new();
    for n in 0..1_000 {
        assert_eq!(tokens(&day, 0, MONDAY), None, "{n}");
        day.reserve(&[1, 0, 0], 0);
        if day.raise_ceilings(&durability, MONDAY) {
            writes.push(day.row().0.1[0] - n - 1);
        }
        let ceiling = day.row().0.1[0];
        assert!(ceiling > n && ceiling <= 1_000);
        day.settle(&[1, 0, 0], &[1, 0, 0], 0);
    }
    assert_eq!((writes[0], writes.last()), (20, Some(&0)));
    assert!(writes.len() < 70, "{}", writes.len());
}

#[test]
fn what_nobody_limits_is_written_further_ahead_where_rows_come_quickly() {
    let mut day = budgets(r#"[{"window":"day","tokens":100000}]"#, MONDAY);
    let durability = Durability::default();
    let (mut used, mut now) = (0, MONDAY);
    // The time between two requests, and how far ahead the last row is written.
    for (every_ms, ahead) in [(20, 100), (4, 200), (1, 900), (20, 100)] {
        let (begun, mut last) = (used, 0);
        while used < begun + 5_000 {
            day.reserve(&[1, 10, 0], 0);
            used += 1;
            now += every_ms;
            if day.raise_ceilings(&durability, now) {
                let [requests, tokens, _] = day.row().0.1;
                last = requests - used;
                // What a budget limits keeps to a part of it.
                assert!(tokens <= 10 + 2_000, "{every_ms}: {tokens}");
            }
            day.settle(&[1, 10, 0], &[1, 0, 0], 0);
        }
        assert_eq!(last, ahead, "{every_ms}");
    }
}

#[test]
fn a_restart_counts_the_ceiling_as_spent_within_its_window() {
    let json = r#"[{"window":"week","zone":"Europe/Berlin","tokens":100}]"#;
    let berlin = Arc::new(Zone::new(vec![(0, 3_600_000)]));
    let mut known = Known::default();
    known.zones.insert("Europe/Berlin".into(), Box::new((berlin, Millis::MAX)));
    let hour = 3_600_000;
    let mut week = Budgets::restored(None, Vec::new(), MONDAY);
    week.configure(&of(json), &known, MONDAY);
    spend(&mut week, 40, MONDAY);
    assert!(week.raise_ceilings(&Durability::default(), MONDAY));
    assert!(week.tighten());
    let (day, books) = week.row();
    // The zone is not told yet when the rows are read.
    for (now, left) in [(7 * DAY_MS - hour - 1, 60), (7 * DAY_MS - hour, 100)] {
        let now = MONDAY + now;
        let mut again = Budgets::restored(Some(day), books.clone(), now);
        again.configure(&of(json), &Known::default(), now);
        again.rezone("Europe/Berlin", &known.zones["Europe/Berlin"].0, now);
        again.roll(now);
        assert_eq!(again.left(1, 0, now), Some(left), "{now}");
    }
}

#[test]
fn a_budget_that_was_made_before_its_zone_was_known_begins_by_it() {
    let json = r#"[{"window":"week","zone":"Pacific/Auckland","tokens":100}]"#;
    let auckland = Arc::new(Zone::new(vec![(0, 13 * 3_600_000)]));
    let mut week = budgets(json, MONDAY - 1);
    week.rezone("Pacific/Auckland", &auckland, MONDAY - 1);
    let ends_in = |week: &Budgets, now| week.lefts(0, now)[0].ends_in;
    assert_eq!(ends_in(&week, MONDAY - 1), 7 * DAY_MS - 13 * 3_600_000 + 1);
    // What was counted keeps its window.
    spend(&mut week, 40, MONDAY);
    week.raise_ceilings(&Durability::default(), MONDAY);
    let later = Arc::new(Zone::new(vec![(0, 12 * 3_600_000)]));
    week.rezone("Pacific/Auckland", &later, MONDAY);
    assert_eq!(
        (ends_in(&week, MONDAY), week.left(1, 0, MONDAY)),
        (7 * DAY_MS - 13 * 3_600_000, Some(60))
    );
}

#[test]
fn rows_of_budgets_that_are_gone_go_with_their_windows() {
    let json = r#"[{"window":"week","tokens":100}]"#;
    let mut week = budgets(json, MONDAY);
    spend(&mut week, 40, MONDAY);
    week.tighten();
    let (day, books) = week.row();
    for (now, rows) in [(MONDAY + DAY_MS, 1), (MONDAY + 7 * DAY_MS, 0)] {
        let again = Budgets::restored(Some(day), books.clone(), now);
        assert_eq!(again.row().1.len(), rows, "{now}");
    }
}

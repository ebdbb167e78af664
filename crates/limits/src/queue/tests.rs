use super::*;

fn spot(class: usize, tenant: Index, asked: Millis, number: u64) -> Spot {
    Spot { class, tenant, line: Line::MAX, place: (asked, number) }
}

/// Serves until empty; each at `cost`; tells tenants in order.
fn serve_all(queue: &mut Queue, cost: u64, weight: impl Fn(Index) -> u32) -> Vec<Index> {
    let mut order = Vec::new();
    while let Some((spot, _)) = queue.next(|_| cost) {
        assert!(queue.remove(spot, &[1, 0, 0]));
        queue.served(spot.class, (spot.tenant, spot.line), weight(spot.tenant), cost, true);
        order.push(spot.tenant);
    }
    assert_eq!(queue.len, 0);
    order
}

#[test]
fn tenants_take_turns_by_weight_and_a_flood_waits_for_itself() {
    let mut queue = Queue::default();
    for n in 0..100 {
        queue.insert(spot(1, 0, 0, n), 1, &[1, 0, 0]);
    }
    for n in 100..104 {
        queue.insert(spot(1, 1, 50, n), 2, &[1, 0, 0]);
    }
    let order = serve_all(&mut queue, 1_000, |tenant| if tenant == 1 { 2 } else { 1 });
    let last = order.iter().rposition(|tenant| *tenant == 1).expect("served");
    assert!(last <= 7, "{last}");
}

#[test]
fn priorities_go_first_but_background_moves() {
    let mut queue = Queue::default();
    for n in 0..64 {
        queue.insert(spot(0, 0, 0, n), 1, &[1, 0, 0]);
    }
    queue.insert(spot(2, 1, 0, 99), 1, &[1, 0, 0]);
    let order = serve_all(&mut queue, 1_600, |_| 1);
    assert_eq!(order.iter().position(|tenant| *tenant == 1), Some(16));
}

#[test]
fn a_returned_request_regains_its_place_by_when_it_asked() {
    let mut queue = Queue::default();
    queue.insert(spot(1, 0, 20, 1), 1, &[1, 0, 0]);
    queue.insert(spot(1, 0, 10, 2), 1, &[1, 0, 0]);
    assert_eq!(queue.next(|_| 1).map(|(spot, _)| spot.place), Some((10, 2)));
}

const USER: ScopeId = ScopeId::User(7);
const TENANT: ScopeId = ScopeId::Tenant(0);

fn of_line(line: Line, asked: Millis, number: u64) -> Spot {
    Spot { line, ..spot(1, 0, asked, number) }
}

/// Who is next: tenant and line.
fn next(queue: &mut Queue) -> Option<(Index, Line)> {
    queue.next(|_| 1).map(|(spot, _)| (spot.tenant, spot.line))
}

#[test]
fn end_users_take_turns_by_what_they_use() {
    let mut queue = Queue::default();
    for n in 0..100 {
        queue.insert(of_line(1, 0, n), 1, &[1, 0, 0]);
    }
    for n in 100..104 {
        queue.insert(of_line(2, 50, n), 1, &[1, 0, 0]);
    }
    // A newcomer of the second user waits for one request of each other's.
    let mut order = Vec::new();
    while let Some((spot, _)) = queue.next(|_| 1_000) {
        assert!(queue.remove(spot, &[1, 0, 0]));
        // The second's are twice as large.
        queue.served(1, (0, spot.line), 1, 1_000 * spot.line, true);
        order.push(spot.line);
    }
    let last = order.iter().rposition(|line| *line == 2).expect("served");
    assert_eq!(order[..last], [1, 2, 1, 1, 2, 1, 1, 2, 1, 1], "{order:?}");
}

#[test]
fn users_who_come_once_go_in_the_order_they_asked() {
    let mut queue = Queue::default();
    for (line, asked) in [(5, 30), (9, 10), (2, 20)] {
        queue.insert(of_line(line, asked, asked), 1, &[1, 0, 0]);
    }
    let mut order = Vec::new();
    while let Some((spot, _)) = queue.next(|_| 1) {
        queue.remove(spot, &[1, 0, 0]);
        queue.served(1, (0, spot.line), 1, 1, true);
        order.push(spot.line);
    }
    assert_eq!(order, [9, 2, 5]);
}

#[test]
fn a_sleeper_holds_nobody_up_and_wakes_in_time() {
    let mut queue = Queue::default();
    queue.insert(of_line(7, 0, 1), 1, &[1, 0, 0]);
    queue.insert(of_line(8, 1, 2), 1, &[1, 0, 0]);
    queue.insert(spot(1, 5, 2, 3), 1, &[1, 0, 0]);
    assert_eq!(next(&mut queue), Some((0, 7)));
    queue.sleep(of_line(7, 0, 1), false, USER, 100);
    assert_eq!(next(&mut queue), Some((0, 8)));
    queue.sleep(of_line(8, 1, 2), true, TENANT, 200);
    assert_eq!(next(&mut queue), Some((5, Line::MAX)));
    assert_eq!(queue.wakes_at(), Some(100));
    queue.wake(100);
    assert_eq!(next(&mut queue), Some((5, Line::MAX)), "its tenant still sleeps");
    queue.wake_tenant(0);
    assert_eq!(next(&mut queue), Some((0, 7)));
    assert_eq!(queue.wakes_at(), None);
    let order = serve_all(&mut queue, 1, |_| 1);
    assert_eq!(order.len(), 3);
}

#[test]
fn what_comes_back_wakes_one_of_each_priority_and_passes_on() {
    let mut queue = Queue::default();
    let deployment = ScopeId::Deployment;
    let of = |class, tenant| spot(class, tenant, 0, 10 * class as u64 + tenant as u64);
    for spot in [of(1, 0), of(1, 1), of(1, 2), of(2, 3)] {
        queue.insert(spot, 1, &[1, 0, 0]);
        queue.sleep(spot, true, deployment, Millis::MAX);
    }
    assert_eq!((next(&mut queue), queue.wakes_at()), (None, None));
    assert!(!queue.freed(TENANT));
    assert!(queue.freed(deployment));
    // The first finds it shut all the same: nobody else of its priority looks.
    assert_eq!(next(&mut queue), Some((0, Line::MAX)));
    queue.sleep(of(1, 0), true, deployment, Millis::MAX);
    assert_eq!(next(&mut queue), Some((3, Line::MAX)), "a smaller one of a lower priority may fit");
    queue.sleep(of(2, 3), true, deployment, Millis::MAX);
    assert_eq!(next(&mut queue), None);
    // The second is served, and the third looks.
    assert!(queue.freed(deployment));
    assert_eq!(next(&mut queue), Some((1, Line::MAX)));
    assert!(queue.remove(of(1, 1), &[1, 0, 0]));
    assert_eq!(next(&mut queue), Some((2, Line::MAX)));
    // It finds its own limit shut, and the first looks again.
    queue.sleep(of(1, 2), true, ScopeId::Tenant(2), 500);
    assert_eq!((next(&mut queue), queue.wakes_at()), (Some((0, Line::MAX)), Some(500)));
}

#[test]
fn whoever_leaves_while_it_sleeps_leaves_nothing_behind() {
    let mut queue = Queue::default();
    queue.insert(of_line(7, 0, 1), 1, &[1, 0, 0]);
    queue.insert(of_line(7, 1, 2), 1, &[9, 0, 0]);
    queue.sleep(of_line(7, 0, 1), false, USER, 100);
    assert!(queue.remove(of_line(7, 0, 1), &[1, 0, 0]));
    assert_eq!(next(&mut queue), Some((0, 7)), "the next one needs something else");
    queue.sleep(of_line(7, 1, 2), true, TENANT, 100);
    assert!(queue.remove(of_line(7, 1, 2), &[9, 0, 0]));
    assert_eq!((queue.len, queue.wakes_at(), queue.freed(TENANT)), (0, None, false));
    assert_eq!(queue.sum(2), [0; 3]);
}

#[test]
fn what_is_ahead_is_bounded_by_ones_own_turns() {
    let mut queue = Queue::default();
    for n in 0..100 {
        queue.insert(spot(1, 0, 0, n), 1, &[1, 10, 0]);
    }
    assert_eq!(queue.ahead(&spot(1, 0, 0, 0), 1, false), [100, 1_000, 0]);
    assert_eq!(queue.ahead(&spot(1, 1, 0, 0), 1, false), [0, 0, 0]);
    assert_eq!(queue.ahead(&spot(2, 1, 0, 0), 1, false), [100, 1_000, 0]);
    queue.insert(spot(1, 1, 0, 200), 1, &[1, 10, 0]);
    assert_eq!(queue.ahead(&spot(1, 1, 0, 0), 1, false), [2, 20, 0]);
    // Another end user of the flood's tenant waits for its own turns only.
    assert_eq!(queue.ahead(&of_line(7, 0, 0), 1, false), [0, 0, 0]);
    queue.insert(Spot { line: 7, ..spot(1, 0, 0, 201) }, 1, &[1, 10, 0]);
    assert_eq!(queue.ahead(&of_line(7, 0, 0), 1, false), [4, 40, 0]);
}

/// Keeps places of one tenant, each due at that time.
fn keep(queue: &mut Queue, places: u64, due: Millis) {
    for n in 0..places {
        let place = Kept { by: 100_000 * due + n, size: [n, 0, 0], asked: 0, due, is_first: false };
        queue.keep(spot(1, 0, 0, 0), &[1, 10, 0], place);
    }
}

fn ahead_of_newcomer(queue: &Queue) -> u64 {
    queue.ahead(&spot(1, 0, 9, 9), 1, false)[0]
}

#[test]
fn a_place_is_kept_until_its_owner_is_late_and_room_is_left_about_its_time() {
    let (told, part) = (8_000, 1_000);
    let (begins, ends) = (told - part, told + part + 1_000);
    let mut queue = Queue::default();
    keep(&mut queue, 3, told);
    for (now, kept, soon) in [(begins - 1, 3, 0), (begins, 3, 3), (ends - 1, 3, 3), (ends, 0, 0)] {
        queue.tick(now, 0);
        let left = queue.soon(&spot(1, 0, 9, 9))[0];
        assert_eq!((ahead_of_newcomer(&queue), left), (kept, soon), "at {now}");
    }
    assert!(queue.came(&spot(1, 0, 9, 9), &[0; 3], None).is_none());
    assert!(queue.classes.iter().all(|class| class.tenants.is_empty() && class.weights == 0));
}

#[test]
fn who_came_is_counted_once_and_leaves_nothing_behind() {
    let mut queue = Queue::default();
    keep(&mut queue, 2, 8_000);
    queue.tick(7_999, 0);
    assert!(queue.came(&spot(1, 0, 9, 9), &[0; 3], None).is_none(), "too early");
    queue.tick(8_000, 0);
    assert!(queue.came(&spot(1, 0, 9, 9), &[7, 0, 0], None).is_none(), "another size");
    assert!(queue.came(&spot(1, 0, 9, 9), &[0; 3], None).is_some());
    assert!(queue.came(&spot(1, 0, 9, 9), &[0; 3], None).is_none(), "it was one");
    assert_eq!((ahead_of_newcomer(&queue), queue.soon(&spot(1, 0, 9, 9))), (1, [1, 10, 0]));
}

#[test]
fn how_many_come_back_is_learned_of_short_times_and_of_long_ones() {
    let mut queue = Queue::default();
    keep(&mut queue, 10, 100_000);
    assert_eq!(ahead_of_newcomer(&queue), 0, "nobody came yet, and the time is long");
    keep(&mut queue, 100, 8_000);
    assert_eq!(ahead_of_newcomer(&queue), 100, "an SDK would come");
    queue.tick(20_000, 0);
    keep(&mut queue, 100, 28_000);
    assert!(ahead_of_newcomer(&queue) <= 3, "none of a hundred did");
}

#[test]
fn a_tenant_that_never_comes_back_spoils_it_for_no_other() {
    let mut queue = Queue::default();
    let place = |by| Kept { by, size: [0; 3], asked: 0, due: 8_000, is_first: false };
    let comes = spot(1, 1, 0, 0);
    // Enough that all of a pool would be taken for never coming.
    keep(&mut queue, 1_000, 8_000);
    for n in 0..8 {
        queue.keep(comes, &[1, 10, 0], place(n));
    }
    queue.tick(8_000, 0);
    for n in 0..8 {
        assert!(queue.came(&comes, &[0; 3], None).is_some(), "{n}");
    }
    queue.tick(20_000, 0);
    for n in 0..10 {
        queue.keep(comes, &[1, 10, 0], Kept { due: 28_000, ..place(n) });
    }
    keep(&mut queue, 100, 28_000);
    let of = |tenant| queue.ahead(&spot(1, tenant, 9, 9), 1, false)[0];
    assert_eq!(of(1), 10, "all of its come");
    assert_eq!(of(0), 0, "none of the other's");
    assert_eq!(queue.ahead(&spot(2, 2, 9, 9), 1, false)[0], 10, "nor ahead of a lower priority");
}

#[test]
fn one_tenant_does_not_take_all_places() {
    let mut queue = Queue::default();
    keep(&mut queue, 10_000, 8_000);
    let kept = ahead_of_newcomer(&queue);
    assert_eq!(kept, 2_048);
    for tenant in 1..10 {
        for n in 0..3_000 {
            let place = Kept {
                by: n + 10_000 * tenant as u64,
                size: [n, 0, 0],
                asked: 0,
                due: 8_000,
                is_first: false,
            };
            queue.keep(spot(tenant % 3, tenant, 0, 0), &[1, 10, 0], place);
        }
    }
    let kept = |class: &Class| class.needs.kept();
    assert_eq!(queue.classes.iter().map(kept).sum::<u64>(), 8_192);
}

#[test]
fn where_too_much_of_a_budget_is_needed_those_who_need_less_look() {
    let mut queue = Queue::default();
    let (tokens, money) = (("tokens_day", 0), ("microusd_day", 0));
    let needs = [(tokens, 9), (tokens, 8), (tokens, 2), (money, 7), (tokens, 1)];
    let asleep = |queue: &mut Queue, line: usize, shutter| {
        let spot = of_line(line as Line, line as u64, line as u64);
        queue.sleep_held(spot, TENANT, shutter, needs[line].1, Millis::MAX);
    };
    for (line, (shutter, _)) in needs.into_iter().enumerate() {
        let spot = of_line(line as Line, line as u64, line as u64);
        queue.insert(spot, 1, &[1, 0, 0]);
        assert_eq!(next(&mut queue), Some((0, line as Line)), "the others hold nobody up");
        asleep(&mut queue, line, shutter);
    }
    assert_eq!(next(&mut queue), None);
    assert!(queue.freed(TENANT));
    assert_eq!(next(&mut queue), Some((0, 0)), "who has slept longest");
    asleep(&mut queue, 0, tokens);
    assert_eq!(next(&mut queue), Some((0, 3)), "who needs least money");
    asleep(&mut queue, 3, money);
    assert_eq!(next(&mut queue), Some((0, 4)), "who needs fewest tokens");
    assert!(queue.remove(of_line(4, 4, 4), &[1, 0, 0]));
    assert_eq!(next(&mut queue), Some((0, 2)));
    asleep(&mut queue, 2, tokens);
    assert_eq!(next(&mut queue), None, "the rest need more");
    assert_eq!(queue.len, 4);
}

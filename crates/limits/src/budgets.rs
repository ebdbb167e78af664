//! The budgets of one payer: what is spent in each window, what open tickets
//! hold, and the ceiling that a restart counts as spent (invariant 8).
//!
//! Budgets of the same window, zone and models are rules over one book. The first
//! book is always the day's (UTC), also without a rule: it tells the spend of today.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admin::Amounts;
use crate::message::Millis;
use crate::policy::{Budget, LISTS_MAX, Pace, Starts, Window, allows};
use crate::settings::Durability;
use crate::window::{Cycle, DAY_MS, Place, Zone};

/// Requests, tokens, micro-dollars.
pub(crate) type Three = [u64; 3];

/// Which lists of models a request's model is on, by the Gate's numbers for them.
pub(crate) type Lists = u64;

/// What the Gate knows beside a budget's own words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// By name, with the time until which they are known; one that was not told is
    /// taken for UTC.
    pub(crate) zones: BTreeMap<String, (Arc<Zone>, Millis)>,
    /// Lists of models that budgets are for.
    lists: Vec<Vec<String>>,
}

impl Known {
    /// Gives each budget's list of models its bit.
    pub(crate) fn learn(&mut self, budgets: &[Budget]) {
        for Budget { models, .. } in budgets {
            let is_new = !models.is_empty() && !self.lists.contains(models);
            if is_new && self.lists.len() < LISTS_MAX {
                self.lists.push(models.clone());
            }
        }
    }

    /// The lists that a model is on.
    pub(crate) fn lists_of(&self, model: &str) -> Lists {
        let on = self.lists.iter().enumerate().filter(|(_, list)| allows(list, model));
        on.fold(0, |lists, (bit, _)| lists | 1 << bit)
    }

    /// The bit of a list; zero, every request's, for none and for one too many.
    fn list(&self, models: &[String]) -> Lists {
        self.lists.iter().position(|list| list == models).map_or(0, |bit| 1 << bit)
    }

    fn zone(&self, name: &str) -> Arc<Zone> {
        self.zones.get(name).map(|(zone, _)| zone.clone()).unwrap_or_default()
    }
}

/// What makes books differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Title {
    cycle: Cycle,
    /// Empty: UTC.
    zone: String,
    models: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    limits: [Option<u64>; 3],
    pace: Pace,
    is_hard: bool,
    place: Option<Place>,
    /// The percent of it whose reaching was told last in this window.
    told: u8,
    /// No budget of its own: see [`Budgets::bound_day`].
    is_bound: bool,
}

#[derive(Clone, Debug)]
struct Book {
    title: Title,
    list: Lists,
    zone: Arc<Zone>,
    rules: Vec<Rule>,
    window: (Millis, Millis),
    spent: Three,
    ceiling: Three,
    /// Of a window that moves along: the end of each day before today, and what
    /// was spent on it.
    past: Vec<(Millis, Three)>,
}

/// One payer's budgets.
#[derive(Clone, Debug)]
pub(crate) struct Budgets {
    books: Vec<Book>,
    /// What open tickets hold, by the lists that they are on.
    reserved: Vec<(Lists, Three)>,
    /// Rows of books that were not opened yet.
    saved: Vec<SavedBook>,
}

/// The row of one book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedBook {
    title: String,
    window: (Millis, Millis),
    ceiling: Three,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<(Millis, Three)>,
}

/// Why a budget does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shut {
    /// Open tickets hold what is left: it may open when they settle.
    Held,
    /// Spent: it opens after this span.
    Spent(Millis),
    /// More than the whole budget.
    TooLarge,
}

/// A part of a budget was used that its owner wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// As in [`crate::message::LimitView::kind`].
    pub kind: &'static str,
    /// How much of it, in percent.
    pub percent: u8,
    /// The budget's amount.
    pub limit: u64,
    /// False: it refuses nothing.
    pub is_hard: bool,
}

/// What their owner may see of a kind of budget.
pub(crate) struct Left {
    pub(crate) kind: &'static str,
    pub(crate) level: i64,
    pub(crate) limit: u64,
    pub(crate) held: u64,
    pub(crate) ends_in: Millis,
    pub(crate) models: Vec<String>,
}

/// Names of kinds, by cycle.
const KINDS: [[&str; 3]; 3] = [
    ["requests_day", "tokens_day", "microusd_day"],
    ["requests_week", "tokens_week", "microusd_week"],
    ["requests_month", "tokens_month", "microusd_month"],
];
/// Parts of a budget whose reaching is told, in percent.
const TOLD_PERCENTS: [u8; 2] = [80, 100];
/// Steps looked at to find when a budget opens: two months of a day's parts.
const STEPS_MAX: usize = 62 * 24;

impl Budgets {
    /// Budgets as a saved row left them: number and ceiling of a day (UTC), and the
    /// other books.
    pub(crate) fn restored(day: Option<(u64, Three)>, saved: Vec<SavedBook>, now: Millis) -> Self {
        let title = Title { cycle: Cycle::Day, zone: String::new(), models: Vec::new() };
        let mut today = Book::new(title, 0, Arc::default(), now);
        if let Some((day, ceiling)) = day {
            today.restore((day * DAY_MS, (day + 1) * DAY_MS), ceiling, Vec::new(), now);
        }
        Self { books: vec![today], reserved: Vec::new(), saved }
    }

    /// Brings other budgets in force. What was spent in a window stays, as long as
    /// a budget of the same window, zone and models is there.
    pub(crate) fn configure(&mut self, budgets: &[Budget], known: &Known, now: Millis) {
        let mut before = std::mem::take(&mut self.books);
        let mut rules = Vec::new();
        for book in &mut before {
            let taken = std::mem::take(&mut book.rules).into_iter();
            rules.extend(taken.map(|rule| (book.title.clone(), rule)));
        }
        let mut books = vec![before.remove(0)];
        for budget in budgets {
            let title = Title::of(budget);
            let rule = Rule::of(budget);
            let at = books.iter().position(|book| book.title == title).unwrap_or_else(|| {
                let at = before.iter().position(|book| book.title == title);
                books.push(match at {
                    Some(at) => before.remove(at),
                    None => self.opened(title.clone(), known, now),
                });
                books.len() - 1
            });
            let same = |(of, old): &&(Title, Rule)| *of == title && old.is_like(&rule);
            let told = rules.iter().find(same).map_or(0, |(_, rule)| rule.told);
            books[at].rules.push(Rule { told, ..rule });
        }
        books.iter_mut().for_each(|book| book.place(now));
        self.books = books;
    }

    fn opened(&mut self, title: Title, known: &Known, now: Millis) -> Book {
        let name = title.name();
        let (list, zone) = (known.list(&title.models), known.zone(&title.zone));
        let mut book = Book::new(title, list, zone, now);
        if let Some(at) = self.saved.iter().position(|saved| saved.title == name) {
            let SavedBook { window, ceiling, past, .. } = self.saved.remove(at);
            book.restore(window, ceiling, past, now);
        }
        book
    }

    /// What bounds a day (UTC) beside its budgets: a visitor's token, all visitors'
    /// money.
    pub(crate) fn bound_day(&mut self, limits: [Option<u64>; 3]) {
        let rules = &mut self.books[0].rules;
        rules.retain(|rule| !rule.is_bound);
        rules.push(Rule { limits, is_hard: true, is_bound: true, ..Rule::default() });
    }

    /// A time zone's offsets are known now, or for longer.
    pub(crate) fn rezone(&mut self, name: &str, zone: &Arc<Zone>, now: Millis) {
        for book in self.books.iter_mut().filter(|book| book.title.zone == name) {
            book.zone = zone.clone();
            book.rules.iter_mut().for_each(|rule| rule.place = None);
            book.place(now);
        }
    }

    /// Begins windows anew whose time has come. Open reservations go over.
    pub(crate) fn roll(&mut self, now: Millis) {
        self.books.iter_mut().for_each(|book| book.roll(now));
    }

    /// What does not take `need`, and why: of several, what shuts longest. Call
    /// [`Budgets::roll`] before.
    pub(crate) fn refuses(
        &self,
        need: &Three,
        lists: Lists,
        is_background: bool,
        now: Millis,
    ) -> Option<(&'static str, Shut)> {
        let mut worst: Option<(&'static str, Shut)> = None;
        for book in self.books.iter().filter(|book| book.counts(lists)) {
            let Some((kind, shut)) = book.refuses(need, &self.reserved, is_background, now) else {
                continue;
            };
            if worst.is_none_or(|(_, other)| shut > other) {
                worst = Some((KINDS[book.title.cycle.index()][kind], shut));
            }
        }
        worst
    }

    pub(crate) fn reserve(&mut self, need: &Three, lists: Lists) {
        match self.reserved.iter_mut().find(|(of, _)| *of == lists) {
            Some((_, sum)) => add(sum, need),
            None => self.reserved.push((lists, *need)),
        }
    }

    /// Puts `used` in the place of what was reserved.
    pub(crate) fn settle(&mut self, reserved: &Three, used: &Three, lists: Lists) {
        if let Some((_, sum)) = self.reserved.iter_mut().find(|(of, _)| *of == lists) {
            debug_assert!(
                (0..3).all(|i| sum[i] >= reserved[i]),
                "reserved = sum of the open tickets"
            );
            *sum = less(sum, reserved);
        }
        for book in self.books.iter_mut().filter(|book| book.counts(lists)) {
            add(&mut book.spent, used);
        }
    }

    /// After a restart: the part of what a ceiling counts as spent that a job still
    /// holds. In a later window the ceiling no longer counts it.
    pub(crate) fn hold_again(&mut self, held: &Three, lists: Lists) {
        for book in self.books.iter_mut().filter(|book| book.counts(lists)) {
            book.spent = less(&book.spent, held);
        }
        self.reserve(held, lists);
    }

    /// What of one kind is left for any model: the least over all budgets.
    pub(crate) fn left(&self, kind: usize, now: Millis) -> Option<i64> {
        let books = self.books.iter().filter(|book| book.list == 0);
        books.filter_map(|book| book.left(kind, &self.reserved, now)).min()
    }

    /// The hard budgets: amount and what is left of it, for background work, which
    /// finds least.
    pub(crate) fn ends(&self, now: Millis) -> impl Iterator<Item = (usize, u64, i64)> {
        self.books.iter().flat_map(move |book| {
            let used = book.used(&self.reserved).map(signed);
            let hard = book.rules.iter().filter(|rule| rule.is_hard);
            hard.flat_map(move |rule| {
                (0..3).filter_map(move |kind| {
                    let open = signed(rule.open(kind, now, true)?);
                    Some((kind, rule.limits[kind]?, open.saturating_sub(used[kind])))
                })
            })
        })
    }

    /// Whether some count only some models.
    pub(crate) fn has_lists(&self) -> bool {
        self.books.iter().any(|book| book.list != 0)
    }

    pub(crate) fn has_rules(&self) -> bool {
        self.books.iter().any(|book| !book.rules.is_empty())
    }

    /// True where nothing was spent or is reserved in any window.
    pub(crate) fn is_unused(&self) -> bool {
        self.reserved.iter().all(|(_, sum)| *sum == [0; 3])
            && self.books.iter().all(|book| book.spent == [0; 3] && book.past.is_empty())
    }

    /// Raises the ceilings that spend and reservations passed; true where a row
    /// must be written before anything is answered.
    pub(crate) fn raise_ceilings(&mut self, durability: &Durability) -> bool {
        let Self { books, reserved, .. } = self;
        let raised = books
            .iter_mut()
            .filter_map(|book| book.raise_ceiling(reserved, durability).then_some(()));
        raised.count() > 0
    }

    /// Lowers the ceilings to exactly what is spent and reserved; true where that
    /// changes one.
    pub(crate) fn tighten(&mut self) -> bool {
        let Self { books, reserved, .. } = self;
        let changed = books.iter_mut().filter_map(|book| {
            let used = book.written(reserved);
            (std::mem::replace(&mut book.ceiling, used) != used).then_some(())
        });
        changed.count() > 0
    }

    /// The row: number and ceiling of the day, and the other books.
    pub(crate) fn row(&self) -> ((u64, Three), Vec<SavedBook>) {
        let others = self.books[1..].iter().map(|book| SavedBook {
            title: book.title.name(),
            window: book.window,
            ceiling: book.ceiling,
            past: book.past.clone(),
        });
        // Those that were not opened yet stay.
        let rows = others.chain(self.saved.iter().cloned()).collect();
        ((self.books[0].window.0 / DAY_MS, self.books[0].ceiling), rows)
    }

    /// Spent today, reserved, and the day's ceiling.
    pub(crate) fn amounts(&self) -> [Amounts; 3] {
        let today = &self.books[0];
        [today.spent, reserved_of(0, &self.reserved), today.ceiling].map(Amounts::from)
    }

    /// What is left of the hard budgets: of each kind the least.
    pub(crate) fn lefts(&self, now: Millis) -> Vec<Left> {
        let mut lefts = Vec::new();
        for book in &self.books {
            for (kind, name) in KINDS[book.title.cycle.index()].into_iter().enumerate() {
                let limits = book.rules.iter().filter(|rule| rule.is_hard);
                let limit = limits.filter_map(|rule| rule.limits[kind]).min();
                let (Some(limit), Some(level)) = (limit, book.left(kind, &self.reserved, now))
                else {
                    continue;
                };
                lefts.push(Left {
                    kind: name,
                    level,
                    limit,
                    held: reserved_of(book.list, &self.reserved)[kind],
                    ends_in: book.window.1.saturating_sub(now),
                    models: book.title.models.clone(),
                });
            }
        }
        lefts
    }

    /// The parts of budgets that were reached since the last call.
    pub(crate) fn reached(&mut self) -> Vec<Reached> {
        let mut reached = Vec::new();
        for book in &mut self.books {
            let used = book.spent_in_window();
            for rule in book.rules.iter_mut().filter(|rule| !rule.is_bound) {
                let part = |kind: usize| {
                    let limit = rule.limits[kind]?;
                    let percent = u128::from(used[kind]) * 100 / u128::from(limit.max(1));
                    Some((percent.min(u128::from(u8::MAX)) as u8, kind, limit))
                };
                let Some((most, kind, limit)) = (0..3).filter_map(part).max() else { continue };
                let percent =
                    TOLD_PERCENTS.into_iter().rfind(|told| *told <= most && *told > rule.told);
                if let Some(percent) = percent {
                    rule.told = percent;
                    let kind = KINDS[book.title.cycle.index()][kind];
                    reached.push(Reached { kind, percent, limit, is_hard: rule.is_hard });
                }
            }
        }
        reached
    }
}

impl Rule {
    fn of(budget: &Budget) -> Self {
        Self {
            limits: [budget.requests, budget.tokens, budget.usd.map(|usd| usd.0)],
            pace: budget.pace.unwrap_or_default(),
            is_hard: budget.hard,
            ..Self::default()
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let Self { limits, pace, is_hard, .. } = other;
        (&self.limits, &self.pace, &self.is_hard) == (limits, pace, is_hard)
    }

    fn open(&self, kind: usize, now: Millis, is_background: bool) -> Option<u64> {
        let limit = self.limits[kind]?;
        Some(self.place.map_or(limit, |place| place.open(limit, now, is_background)))
    }
}

impl Book {
    fn new(title: Title, list: Lists, zone: Arc<Zone>, now: Millis) -> Self {
        let window = Place::of(now, title.cycle, Pace::Off, &zone).window;
        Self {
            title,
            list,
            zone,
            rules: Vec::new(),
            window,
            spent: [0; 3],
            ceiling: [0; 3],
            past: Vec::new(),
        }
    }

    /// What was written ahead counts as spent as long as its window lasts. A later
    /// window than ours: the clock stepped back; it counts on.
    fn restore(
        &mut self,
        window: (Millis, Millis),
        ceiling: Three,
        past: Vec<(Millis, Three)>,
        now: Millis,
    ) {
        if now < window.1 {
            (self.window, self.spent, self.ceiling) = (window, ceiling, ceiling);
            self.past = past;
        } else if self.title.cycle == Cycle::Moving {
            self.past = past;
            self.past.push((window.1, ceiling));
            self.drop_past();
        }
    }

    fn counts(&self, lists: Lists) -> bool {
        self.list == 0 || self.list & lists != 0
    }

    fn roll(&mut self, now: Millis) {
        if now >= self.window.1 {
            let next = Place::of(now, self.title.cycle, Pace::Off, &self.zone).window;
            let over = std::mem::replace(&mut self.window, next);
            let spent = std::mem::take(&mut self.spent);
            self.ceiling = [0; 3];
            if self.title.cycle == Cycle::Moving {
                self.past.push((over.1, spent));
                self.drop_past();
            }
            self.rules.iter_mut().for_each(|rule| rule.told = 0);
        }
        self.place(now);
    }

    fn drop_past(&mut self) {
        let from = self.window.0;
        self.past.retain(|(end, _)| *end > from);
    }

    /// Finds the steps in which paced budgets are.
    fn place(&mut self, now: Millis) {
        let (cycle, zone) = (self.title.cycle, &self.zone);
        let paced = self.rules.iter_mut().filter(|rule| rule.pace != Pace::Off);
        for rule in paced {
            if rule.place.is_none_or(|place| !place.holds(now)) {
                rule.place = Some(Place::of(now, cycle, rule.pace, zone));
            }
        }
    }

    fn spent_in_window(&self) -> Three {
        let mut sum = self.spent;
        self.past.iter().for_each(|(_, spent)| add(&mut sum, spent));
        sum
    }

    fn used(&self, reserved: &[(Lists, Three)]) -> Three {
        let mut sum = self.spent_in_window();
        add(&mut sum, &reserved_of(self.list, reserved));
        sum
    }

    /// What a row must cover: days past stand in it by themselves.
    fn written(&self, reserved: &[(Lists, Three)]) -> Three {
        let mut sum = self.spent;
        add(&mut sum, &reserved_of(self.list, reserved));
        sum
    }

    fn left(&self, kind: usize, reserved: &[(Lists, Three)], now: Millis) -> Option<i64> {
        let used = signed(self.used(reserved)[kind]);
        let hard = self.rules.iter().filter(|rule| rule.is_hard);
        hard.filter_map(|rule| Some(signed(rule.open(kind, now, false)?).saturating_sub(used)))
            .min()
    }

    fn refuses(
        &self,
        need: &Three,
        reserved: &[(Lists, Three)],
        is_background: bool,
        now: Millis,
    ) -> Option<(usize, Shut)> {
        let mut worst: Option<(usize, Shut)> = None;
        if self.rules.is_empty() {
            return None;
        }
        let (spent, used) = (self.spent_in_window(), self.used(reserved));
        for rule in self.rules.iter().filter(|rule| rule.is_hard) {
            for kind in 0..3 {
                let Some(limit) = rule.limits[kind] else { continue };
                let open = rule.open(kind, now, is_background).unwrap_or(limit);
                let shut = if need[kind] > limit {
                    Shut::TooLarge
                } else if spent[kind].saturating_add(need[kind]) > open {
                    Shut::Spent(self.opens_in(rule, kind, limit, need[kind], is_background, now))
                } else if used[kind].saturating_add(need[kind]) > open {
                    Shut::Held
                } else {
                    continue;
                };
                if worst.is_none_or(|(_, other)| shut > other) {
                    worst = Some((kind, shut));
                }
            }
        }
        worst
    }

    /// The span until a budget that nobody else used would take `need`.
    fn opens_in(
        &self,
        rule: &Rule,
        kind: usize,
        limit: u64,
        need: u64,
        is_background: bool,
        now: Millis,
    ) -> Millis {
        let place = |at| Place::of(at, self.title.cycle, rule.pace, &self.zone);
        let mut step = place(now);
        let mut at = now;
        for _ in 0..STEPS_MAX {
            at = step.next(at, is_background);
            step = place(at);
            let spent = match self.title.cycle {
                Cycle::Moving => {
                    let today = (self.window.1 > step.window.0).then_some(self.spent[kind]);
                    let past = self.past.iter().filter(|(end, _)| *end > step.window.0);
                    past.map(|(_, spent)| spent[kind]).chain(today).sum()
                }
                _ if at < self.window.1 => self.spent[kind],
                _ => 0,
            };
            if spent.saturating_add(need) <= step.open(limit, at, is_background) {
                break;
            }
        }
        at - now
    }

    fn raise_ceiling(&mut self, reserved: &[(Lists, Three)], durability: &Durability) -> bool {
        let chunks =
            [durability.requests_chunk, durability.tokens_chunk, durability.microusd_chunk];
        let (written, used) = (self.written(reserved), self.used(reserved));
        let mut raised = false;
        for (kind, unlimited) in chunks.into_iter().enumerate() {
            if written[kind] <= self.ceiling[kind] {
                continue;
            }
            raised = true;
            let hard = self.rules.iter().filter(|rule| rule.is_hard);
            let chunk = match hard.filter_map(|rule| rule.limits[kind]).min() {
                Some(limit) => {
                    let most = limit / 1_000 * u64::from(durability.budget_permille);
                    most.min(limit.saturating_sub(used[kind]) / 4)
                }
                None => unlimited,
            };
            self.ceiling[kind] = written[kind].saturating_add(chunk);
        }
        raised
    }
}

impl Title {
    fn of(budget: &Budget) -> Self {
        let cycle = match (budget.window, budget.starts) {
            (Window::Day, _) => Cycle::Day,
            (Window::Week, starts) => Cycle::Week(starts.unwrap_or_default() as u8),
            (Window::Month, Some(Starts::Rolling)) => Cycle::Moving,
            (Window::Month, _) => Cycle::Month,
        };
        let zone = budget.zone.as_deref().filter(|zone| *zone != "UTC").unwrap_or_default();
        Self { cycle, zone: zone.to_owned(), models: budget.models.clone() }
    }

    /// What a row knows it by.
    fn name(&self) -> String {
        let cycle = match self.cycle {
            Cycle::Day => "day".to_owned(),
            Cycle::Week(first) => format!("week{first}"),
            Cycle::Month => "month".to_owned(),
            Cycle::Moving => "moving".to_owned(),
        };
        format!("{cycle} {} {}", self.zone, self.models.join(","))
    }
}

impl Cycle {
    fn index(self) -> usize {
        match self {
            Self::Day => 0,
            Self::Week(_) => 1,
            Self::Month | Self::Moving => 2,
        }
    }
}

impl SavedBook {
    /// True when it no longer says anything.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        // A window that moves along may need its last day for a month.
        let keeps = if self.title.starts_with("moving") { 31 } else { 0 };
        self.window.1 + keeps * DAY_MS <= now
    }
}

/// What tickets hold of a book.
fn reserved_of(list: Lists, reserved: &[(Lists, Three)]) -> Three {
    let mut sum = [0; 3];
    let of_list = reserved.iter().filter(|(lists, _)| list == 0 || list & lists != 0);
    of_list.for_each(|(_, part)| add(&mut sum, part));
    sum
}

pub(crate) fn add(sum: &mut Three, part: &Three) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum = sum.saturating_add(*part);
    }
}

/// What of `whole` is beyond `part`.
pub(crate) fn less(whole: &Three, part: &Three) -> Three {
    std::array::from_fn(|kind| whole[kind].saturating_sub(part[kind]))
}

pub(crate) fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
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
        budgets.refuses(&[1, tokens, 0], 0, false, now)
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
            (41, Some(("tokens_day", Shut::Held))),
            (100, Some(("tokens_day", Shut::Held))),
            (101, Some(("tokens_day", Shut::TooLarge))),
        ] {
            assert_eq!(tokens(&day, need, MONDAY), shut, "{need}");
        }
        day.settle(&[1, 60, 0], &[1, 50, 7], 0);
        assert_eq!(tokens(&day, 50, MONDAY), None);
        assert_eq!(tokens(&day, 51, MONDAY), Some(("tokens_day", Shut::Spent(DAY_MS))));
        day.roll(MONDAY + DAY_MS - 1);
        assert_eq!(day.left(1, MONDAY + DAY_MS - 1), Some(50));
        day.roll(MONDAY + DAY_MS);
        assert_eq!(day.left(1, MONDAY + DAY_MS), Some(100));
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
        let lefts = three.lefts(tuesday);
        let told = lefts.iter().map(|left| (left.kind, left.level, left.ends_in / DAY_MS));
        let told: Vec<_> = told.collect();
        assert_eq!(told, [("tokens_day", 40, 1), ("tokens_week", 0, 6), ("requests_month", 7, 7)]);
        // A new week, not a new month.
        three.roll(MONDAY + 7 * DAY_MS);
        assert_eq!(
            (three.left(1, MONDAY + 7 * DAY_MS), three.left(0, MONDAY + 7 * DAY_MS)),
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
        let background = |tokens| week.refuses(&[1, tokens, 0], 0, true, noon);
        assert_eq!(background(50), None);
        assert_eq!(background(52), Some(("tokens_week", Shut::Spent(DAY_MS / 24))));
        assert_eq!(tokens(&week, 100, noon), None);
        // What was left on Tuesday is open on Wednesday.
        let wednesday = MONDAY + 2 * DAY_MS;
        week.roll(wednesday);
        assert_eq!(week.left(1, wednesday), Some(200));
    }

    #[test]
    fn a_month_that_moves_along_forgets_a_day_after_thirty() {
        let json = r#"[{"window":"month","starts":"rolling","tokens":100}]"#;
        let mut month = budgets(json, MONDAY);
        spend(&mut month, 60, MONDAY);
        spend(&mut month, 30, MONDAY + 10 * DAY_MS);
        let now = MONDAY + 12 * DAY_MS;
        month.roll(now);
        assert_eq!(month.left(1, now), Some(10));
        assert_eq!(tokens(&month, 70, now), Some(("tokens_month", Shut::Spent(18 * DAY_MS))));
        assert_eq!(tokens(&month, 71, now), Some(("tokens_month", Shut::Spent(28 * DAY_MS))));
        // A restart keeps every day.
        month.raise_ceilings(&Durability::default());
        month.tighten();
        let (day, books) = month.row();
        let mut again = Budgets::restored(Some(day), books, now);
        again.configure(&of(json), &known(json), now);
        assert_eq!(again.left(1, now), Some(10));
        for (budgets, days, left) in [(&mut month, 29, 10), (&mut again, 30, 70)] {
            let at = MONDAY + days * DAY_MS;
            budgets.roll(at);
            assert_eq!(budgets.left(1, at), Some(left), "{days}");
        }
    }

    #[test]
    fn other_amounts_keep_what_is_spent_and_another_window_counts_anew() {
        let json = r#"[{"window":"week","tokens":100}]"#;
        let mut week = budgets(json, MONDAY);
        spend(&mut week, 60, MONDAY);
        let larger = r#"[{"window":"week","tokens":200},{"window":"month","tokens":150}]"#;
        week.configure(&of(larger), &known(larger), MONDAY);
        let lefts: Vec<_> = week.lefts(MONDAY).iter().map(|left| (left.kind, left.level)).collect();
        assert_eq!(lefts, [("tokens_week", 140), ("tokens_month", 150)]);
    }

    #[test]
    fn a_budget_of_models_counts_only_them() {
        let json = r#"[{"window":"day","tokens":100,"models":["claude-opus-*"]}]"#;
        let mut opus = budgets(json, MONDAY);
        let known = known(json);
        let (opus_on, haiku_on) =
            (known.lists_of("claude-opus-5"), known.lists_of("claude-haiku-5"));
        assert_eq!((opus_on, haiku_on), (1, 0));
        opus.reserve(&[1, 70, 0], haiku_on);
        opus.reserve(&[1, 70, 0], opus_on);
        assert_eq!(opus.refuses(&[1, 31, 0], haiku_on, false, MONDAY), None);
        assert_eq!(
            opus.refuses(&[1, 31, 0], opus_on, false, MONDAY),
            Some(("tokens_day", Shut::Held))
        );
        opus.settle(&[1, 70, 0], &[1, 70, 0], haiku_on);
        opus.settle(&[1, 70, 0], &[1, 10, 0], opus_on);
        assert_eq!(opus.refuses(&[1, 90, 0], opus_on, false, MONDAY), None);
        // It says nothing of other models.
        assert_eq!((opus.left(1, MONDAY), opus.has_lists()), (None, true));
        assert_eq!(opus.lefts(MONDAY)[0].models, ["claude-opus-*"]);
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
        assert!(both.lefts(MONDAY + DAY_MS).is_empty() && both.reached().is_empty());
    }

    #[test]
    fn the_ceiling_is_never_below_the_spend_and_tightens_near_the_limit() {
        let mut day = budgets(r#"[{"window":"day","requests":1000}]"#, MONDAY);
        let durability = Durability::default();
        let mut writes = Vec::new();
        for n in 0..1_000 {
            assert_eq!(tokens(&day, 0, MONDAY), None, "{n}");
            day.reserve(&[1, 0, 0], 0);
            if day.raise_ceilings(&durability) {
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
    fn a_restart_counts_the_ceiling_as_spent_within_its_window() {
        let json = r#"[{"window":"week","zone":"Europe/Berlin","tokens":100}]"#;
        let berlin = Arc::new(Zone::new(vec![(0, 3_600_000)]));
        let mut known = Known::default();
        known.zones.insert("Europe/Berlin".into(), (berlin, Millis::MAX));
        let hour = 3_600_000;
        let mut week = Budgets::restored(None, Vec::new(), MONDAY);
        week.configure(&of(json), &known, MONDAY);
        spend(&mut week, 40, MONDAY);
        assert!(week.raise_ceilings(&Durability::default()));
        assert!(week.tighten());
        let (day, books) = week.row();
        // The zone is not told yet when the rows are read.
        for (now, left) in [(7 * DAY_MS - hour - 1, 60), (7 * DAY_MS - hour, 100)] {
            let now = MONDAY + now;
            let mut again = Budgets::restored(Some(day), books.clone(), now);
            again.configure(&of(json), &Known::default(), now);
            again.rezone("Europe/Berlin", &known.zones["Europe/Berlin"].0, now);
            again.roll(now);
            assert_eq!(again.left(1, now), Some(left), "{now}");
        }
    }
}

//! One book: what is spent in a window, and the rules over it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::known::Lists;
use crate::amounts::{Three, add, signed};
use crate::message::Millis;
use crate::policy::{Budget, Pace, Starts, Window};
use crate::settings::Durability;
use crate::window::{Cycle, DAY_MS, Place, Zone};

/// What makes books differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Title {
    pub(super) cycle: Cycle,
    /// Empty: UTC.
    pub(super) zone: String,
    pub(super) models: Vec<String>,
    /// The id of the visitor token that it is for; empty: none.
    pub(super) token: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) limits: [Option<u64>; 3],
    pub(super) pace: Pace,
    pub(super) is_hard: bool,
    pub(super) place: Option<Place>,
    /// The percent of it whose reaching was told last in this window.
    pub(super) told: u8,
    /// No budget of its own: see [`Budgets::bound_day`], [`Budgets::bound_token`].
    pub(super) is_bound: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) title: Title,
    pub(super) list: Lists,
    pub(super) zone: Arc<Zone>,
    pub(super) rules: Vec<Rule>,
    pub(super) window: (Millis, Millis),
    pub(super) spent: Three,
    pub(super) ceiling: Three,
    /// When the ceiling was raised last, and by how many parts of a chunk.
    raised: (Millis, u64),
    /// Of a window that moves along: the end of each day before today, and what
    /// was spent on it.
    pub(super) past: Vec<(Millis, Three)>,
}

/// The row of one book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedBook {
    pub(super) title: String,
    pub(super) window: (Millis, Millis),
    pub(super) ceiling: Three,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) past: Vec<(Millis, Three)>,
}

/// Why a budget does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shut {
    /// Open tickets hold what is left: it may open when they settle, or after this
    /// span, when more of it opens.
    Held(Millis),
    /// Spent: it opens after this span.
    Spent(Millis),
    /// Spent: it never opens.
    Over,
    /// More than the whole budget.
    TooLarge,
}

/// Steps looked at to find when a budget opens: two months of a day's parts.
const STEPS_MAX: usize = 62 * 24;

/// What no budget limits is written so far ahead that a row lasts so long at the pace of
/// the row before, in whole parts of a chunk.
const ROW_MS: Millis = 1_000;
/// The parts of a chunk: so many are the most.
const PARTS: u64 = 16;

/// Names of kinds, by cycle.
const KINDS: [[&str; 3]; 4] = [
    ["requests_day", "tokens_day", "microusd_day"],
    ["requests_week", "tokens_week", "microusd_week"],
    ["requests_month", "tokens_month", "microusd_month"],
    ["requests_life", "tokens_life", "microusd_life"],
];

/// Which of a request's three amounts a budget of this name counts; none: no budget's name.
pub(crate) fn kind_of(name: &str) -> Option<usize> {
    KINDS.iter().find_map(|names| names.iter().position(|kind| *kind == name))
}

impl Rule {
    pub(super) fn of(budget: &Budget) -> Self {
        Self {
            limits: [budget.requests, budget.tokens, budget.usd.map(|usd| usd.0)],
            pace: budget.pace.unwrap_or_default(),
            is_hard: budget.hard,
            ..Self::default()
        }
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        let Self { limits, pace, is_hard, .. } = other;
        (&self.limits, &self.pace, &self.is_hard) == (limits, pace, is_hard)
    }

    pub(super) fn open(&self, kind: usize, now: Millis, is_background: bool) -> Option<u64> {
        let limit = self.limits[kind]?;
        Some(self.place.map_or(limit, |place| place.open(limit, now, is_background)))
    }
}

impl Book {
    pub(super) fn new(title: Title, list: Lists, zone: Arc<Zone>, now: Millis) -> Self {
        let window = Place::of(now, title.cycle, Pace::Off, &zone).window;
        Self {
            title,
            list,
            zone,
            rules: Vec::new(),
            window,
            spent: [0; 3],
            ceiling: [0; 3],
            raised: (0, 1),
            past: Vec::new(),
        }
    }

    /// What was written ahead counts as spent as long as its window lasts. One that is
    /// over ends when the book rolls, as it would have: what jobs hold of it is known by
    /// then. A later window than ours: the clock stepped back; it counts on.
    pub(super) fn restore(
        &mut self,
        window: (Millis, Millis),
        ceiling: Three,
        past: Vec<(Millis, Three)>,
    ) {
        (self.window, self.spent, self.ceiling, self.past) = (window, ceiling, ceiling, past);
    }

    /// The names of its budgets' kinds.
    pub(super) fn kinds(&self) -> [&'static str; 3] {
        match self.title.cycle {
            Cycle::Day => KINDS[0],
            Cycle::Week(_) => KINDS[1],
            Cycle::Month | Cycle::Moving => KINDS[2],
            Cycle::Until(_) => KINDS[3],
        }
    }

    /// A window in which nothing was counted yet was begun without knowing the zone.
    pub(super) fn rezone(&mut self, zone: Arc<Zone>, now: Millis) {
        if self.ceiling == [0; 3] && self.past.is_empty() {
            self.window = Place::of(now, self.title.cycle, Pace::Off, &zone).window;
        }
        self.zone = zone;
        self.rules.iter_mut().for_each(|rule| rule.place = None);
        self.place(now);
    }

    pub(super) fn is_of_token(&self) -> bool {
        matches!(self.title.cycle, Cycle::Until(_))
    }

    pub(super) fn counts(&self, lists: Lists) -> bool {
        self.list == 0 || self.list & lists != 0
    }

    pub(super) fn roll(&mut self, now: Millis) {
        let is_once = self.is_of_token();
        if now >= self.window.1 && !is_once {
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

    pub(super) fn drop_past(&mut self) {
        let from = self.window.0;
        self.past.retain(|(end, _)| *end > from);
    }

    /// Finds the steps in which paced budgets are.
    pub(super) fn place(&mut self, now: Millis) {
        let (cycle, zone) = (self.title.cycle, &self.zone);
        let paced = self.rules.iter_mut().filter(|rule| rule.pace != Pace::Off);
        for rule in paced {
            if rule.place.is_none_or(|place| !place.holds(now)) {
                rule.place = Some(Place::of(now, cycle, rule.pace, zone));
            }
        }
    }

    pub(super) fn spent_in_window(&self) -> Three {
        let mut sum = self.spent;
        self.past.iter().for_each(|(_, spent)| add(&mut sum, spent));
        sum
    }

    pub(super) fn used(&self, reserved: &[(Lists, Three)]) -> Three {
        let mut sum = self.spent_in_window();
        add(&mut sum, &reserved_of(self.list, reserved));
        sum
    }

    /// What a row must cover: days past stand in it by themselves.
    pub(super) fn written(&self, reserved: &[(Lists, Three)]) -> Three {
        let mut sum = self.spent;
        add(&mut sum, &reserved_of(self.list, reserved));
        sum
    }

    pub(super) fn left(
        &self,
        kind: usize,
        reserved: &[(Lists, Three)],
        now: Millis,
    ) -> Option<i64> {
        let used = signed(self.used(reserved)[kind]);
        let hard = self.rules.iter().filter(|rule| rule.is_hard);
        hard.filter_map(|rule| Some(signed(rule.open(kind, now, false)?).saturating_sub(used)))
            .min()
    }

    /// What is more than the whole budget by what was learned alone has all of it to
    /// itself, and holds more; of one that never opens again, it is let in by `least`.
    /// So a budget is overrun by no more than that, of one request.
    pub(super) fn refuses(
        &self,
        need: &Three,
        least: &Three,
        reserved: &[(Lists, Three)],
        is_background: bool,
        now: Millis,
    ) -> Option<(usize, Shut)> {
        let mut worst: Option<(usize, Shut)> = None;
        if self.rules.is_empty() {
            return None;
        }
        let (spent, used) = (self.spent_in_window(), self.used(reserved));
        let is_once = self.is_of_token();
        for rule in self.rules.iter().filter(|rule| rule.is_hard) {
            for kind in 0..3 {
                let Some(limit) = rule.limits[kind] else { continue };
                let open = rule.open(kind, now, is_background).unwrap_or(limit);
                let need = if is_once { least[kind] } else { need[kind].min(limit) };
                let shut = if least[kind] > limit {
                    Shut::TooLarge
                } else if spent[kind].saturating_add(need) > open && is_once {
                    Shut::Over
                } else if spent[kind].saturating_add(need) > open {
                    Shut::Spent(self.opens_in(rule, kind, limit, need, is_background, now))
                } else if used[kind].saturating_add(need) > open {
                    let step = Place::of(now, self.title.cycle, rule.pace, &self.zone);
                    Shut::Held(step.next(now, is_background).saturating_sub(now))
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
    pub(super) fn opens_in(
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

    /// Raises all kinds where one was passed: it is one row.
    pub(super) fn raise_ceiling(
        &mut self,
        reserved: &[(Lists, Three)],
        durability: &Durability,
        now: Millis,
    ) -> bool {
        let written = self.written(reserved);
        if (0..3).all(|kind| written[kind] <= self.ceiling[kind]) {
            return false;
        }
        let (at, parts) = self.raised;
        let lasted = now.saturating_sub(at).max(1);
        let parts = (parts * ROW_MS / lasted).clamp(1, PARTS);
        self.raised = (now, parts);
        let used = self.used(reserved);
        let chunks =
            [durability.requests_chunk, durability.tokens_chunk, durability.microusd_chunk];
        for (kind, unlimited) in chunks.into_iter().enumerate() {
            let hard = self.rules.iter().filter(|rule| rule.is_hard);
            let chunk = match hard.filter_map(|rule| rule.limits[kind]).min() {
                Some(limit) => {
                    let most = limit / 1_000 * u64::from(durability.budget_permille);
                    most.min(limit.saturating_sub(used[kind]) / 4)
                }
                None => (unlimited / PARTS).saturating_mul(parts),
            };
            self.ceiling[kind] = written[kind].saturating_add(chunk);
        }
        true
    }
}

impl Title {
    pub(super) fn of(budget: &Budget) -> Self {
        let cycle = match (budget.window, budget.starts) {
            (Window::Day, _) => Cycle::Day,
            (Window::Week, starts) => Cycle::Week(starts.unwrap_or_default() as u8),
            (Window::Month, Some(Starts::Rolling)) => Cycle::Moving,
            (Window::Month, _) => Cycle::Month,
        };
        let zone = budget.zone.as_deref().filter(|zone| *zone != "UTC").unwrap_or_default();
        let models = budget.models.clone();
        Self { cycle, zone: zone.to_owned(), models, token: String::new() }
    }

    /// What a row knows it by.
    pub(super) fn name(&self) -> String {
        let cycle = match self.cycle {
            Cycle::Day => "day".to_owned(),
            Cycle::Week(first) => format!("week{first}"),
            Cycle::Month => "month".to_owned(),
            Cycle::Moving => "moving".to_owned(),
            Cycle::Until(_) => return format!("token {}", self.token),
        };
        format!("{cycle} {} {}", self.zone, self.models.join(","))
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
pub(super) fn reserved_of(list: Lists, reserved: &[(Lists, Three)]) -> Three {
    let mut sum = [0; 3];
    let of_list = reserved.iter().filter(|(lists, _)| list == 0 || list & lists != 0);
    of_list.for_each(|(_, part)| add(&mut sum, part));
    sum
}

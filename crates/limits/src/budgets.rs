//! The budgets of one payer: what is spent in each window, what open tickets
//! hold, and the ceiling that a restart counts as spent (invariant 8).
//!
//! Budgets of the same window, zone and models are rules over one book. The first
//! book is always the day's (UTC), also without a rule: it tells the spend of today.

mod book;
mod known;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::admin::Amounts;
use crate::amounts::{Three, add, less, signed};
use crate::message::Millis;
use crate::policy::{Budget, LISTS_MAX};
use crate::settings::Durability;
use crate::window::{Cycle, DAY_MS, Zone};

use book::{Book, Rule, Title, reserved_of};
pub(crate) use book::{SavedBook, Shut, kind_of};
pub(crate) use known::{Known, Lists};

/// One payer's budgets.
#[derive(Clone, Debug)]
pub(crate) struct Budgets {
    books: Vec<Book>,
    /// What open tickets hold, by the lists that they are on.
    reserved: Vec<(Lists, Three)>,
    /// Rows of books that were not opened yet.
    saved: Vec<SavedBook>,
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

/// Visitor tokens with bounds that one visitor may use at a time.
pub(crate) const TOKENS_MAX: usize = 16;

/// Parts of a budget whose reaching is told, in percent.
const TOLD_PERCENTS: [u8; 2] = [80, 100];

impl Budgets {
    /// Budgets as a saved row left them: number and ceiling of a day (UTC), and the
    /// other books.
    pub(crate) fn restored(day: Option<(u64, Three)>, saved: Vec<SavedBook>, now: Millis) -> Self {
        let title = Title {
            cycle: Cycle::Day,
            zone: String::new(),
            models: Vec::new(),
            token: String::new(),
        };
        let mut today = Book::new(title, 0, Arc::default(), now);
        if let Some((day, ceiling)) = day {
            today.restore((day * DAY_MS, (day + 1) * DAY_MS), ceiling, Vec::new());
        }
        let saved = saved.into_iter().filter(|book| !book.is_over(now)).collect();
        Self { books: vec![today], reserved: Vec::new(), saved }
    }

    /// Brings other budgets in force. What was spent in a window stays, as long as
    /// a budget of the same window, zone and models is there.
    pub(crate) fn configure(&mut self, budgets: &[Budget], known: &Known, now: Millis) {
        let (tokens, mut before): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.books).into_iter().partition(Book::is_of_token);
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
        books.extend(tokens);
        books.iter_mut().for_each(|book| book.place(now));
        self.books = books;
    }

    fn opened(&mut self, title: Title, known: &Known, now: Millis) -> Book {
        let name = title.name();
        let (list, zone) = (known.list(&title.models), known.zone(&title.zone));
        let mut book = Book::new(title, list, zone, now);
        if let Some(at) = self.saved.iter().position(|saved| saved.title == name) {
            let SavedBook { window, ceiling, past, .. } = self.saved.remove(at);
            book.restore(window, ceiling, past);
        }
        book
    }

    /// What bounds a day (UTC) beside its budgets: all visitors' money.
    pub(crate) fn bound_day(&mut self, limits: [Option<u64>; 3]) {
        let rules = &mut self.books[0].rules;
        rules.retain(|rule| !rule.is_bound);
        rules.push(Rule { limits, is_hard: true, is_bound: true, ..Rule::default() });
    }

    /// What a visitor token's own bounds are counted by, from its first use to its
    /// end: the bit that its requests carry. `Err`: as many tokens are in use as may
    /// be; the span until one of them ends.
    pub(crate) fn bound_token(
        &mut self,
        token: &str,
        ends: Millis,
        limits: [Option<u64>; 3],
        now: Millis,
    ) -> Result<Lists, Millis> {
        self.roll(now);
        let tokens = || self.books.iter().filter(|book| book.is_of_token());
        if let Some(book) = tokens().find(|book| book.title.token == token) {
            return Ok(book.list);
        }
        let bits = (LISTS_MAX..LISTS_MAX + TOKENS_MAX).map(|bit| 1 << bit);
        let mut free = bits.filter(|bit| tokens().all(|book| book.list != *bit));
        let Some(list) = free.next() else {
            let first = tokens().map(|book| book.window.1).min();
            return Err(first.unwrap_or_default().saturating_sub(now).max(1_000));
        };
        let title = Title {
            cycle: Cycle::Until(ends),
            zone: String::new(),
            models: Vec::new(),
            token: token.to_owned(),
        };
        let mut book = self.opened(title, &Known::default(), now);
        book.list = list;
        book.rules.push(Rule { limits, is_hard: true, is_bound: true, ..Rule::default() });
        self.books.push(book);
        Ok(list)
    }

    /// A time zone's offsets are known now, or for longer.
    pub(crate) fn rezone(&mut self, name: &str, zone: &Arc<Zone>, now: Millis) {
        for book in self.books.iter_mut().filter(|book| book.title.zone == name) {
            book.rezone(zone.clone(), now);
        }
    }

    /// Begins windows anew whose time has come. Open reservations go over.
    pub(crate) fn roll(&mut self, now: Millis) {
        self.books.iter_mut().for_each(|book| book.roll(now));
        let reserved = &self.reserved;
        // A token that has ended asks no more; what it still holds is accounted for.
        self.books.retain(|book| {
            !book.is_of_token() || now < book.window.1 || reserved_of(book.list, reserved) != [0; 3]
        });
    }

    /// What does not take `need`, and why: of several, what shuts longest. For good only
    /// by `least`. Call [`Budgets::roll`] before.
    pub(crate) fn refuses(
        &self,
        need: &Three,
        least: &Three,
        lists: Lists,
        is_background: bool,
        now: Millis,
    ) -> Option<(&'static str, Lists, Shut)> {
        let mut worst: Option<(&'static str, Lists, Shut)> = None;
        for book in self.books.iter().filter(|book| book.counts(lists)) {
            let refused = book.refuses(need, least, &self.reserved, is_background, now);
            let Some((kind, shut)) = refused else { continue };
            if worst.is_none_or(|(_, _, other)| shut > other) {
                worst = Some((book.kinds()[kind], book.list, shut));
            }
        }
        worst
    }

    pub(crate) fn reserve(&mut self, need: &Three, lists: Lists) {
        match self.reserved.iter_mut().find(|(of, _)| *of == lists) {
            Some((_, sum)) => add(sum, need),
            None => {
                // Of lists that were: each change of policy could leave one.
                self.reserved.retain(|(_, sum)| *sum != [0; 3]);
                self.reserved.push((lists, *need));
            }
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

    /// A request is on other lists from now on, of which it holds the same; what a restart
    /// counted as spent of it counts for the new ones, too.
    pub(crate) fn relist(&mut self, held: &Three, counted: &Three, from: Lists, to: Lists) {
        self.settle(held, &[0; 3], from);
        self.reserve(held, to);
        for book in self.books.iter_mut().filter(|book| book.list & to & !from != 0) {
            add(&mut book.spent, counted);
        }
    }

    /// As they will be then, if nothing is held but this.
    pub(crate) fn later(&self, held: &Three, lists: Lists, then: Millis) -> Self {
        let mut later = self.clone();
        later.reserved = vec![(lists, *held)];
        later.roll(then);
        later
    }

    /// After a restart, before anything rolls: the part of what a ceiling counts as spent
    /// that a job still holds.
    pub(crate) fn hold_again(&mut self, held: &Three, lists: Lists) {
        for book in self.books.iter_mut().filter(|book| book.counts(lists)) {
            book.spent = less(&book.spent, held);
        }
        self.reserve(held, lists);
    }

    /// What of one kind is left for any model, by a token where it is one's: the least
    /// over all budgets.
    pub(crate) fn left(&self, kind: usize, token: Lists, now: Millis) -> Option<i64> {
        let books = self.books.iter().filter(|book| book.counts(token));
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
    pub(crate) fn raise_ceilings(&mut self, durability: &Durability, now: Millis) -> bool {
        let Self { books, reserved, .. } = self;
        let raised = books
            .iter_mut()
            .filter_map(|book| book.raise_ceiling(reserved, durability, now).then_some(()));
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

    /// What is left of the hard budgets: of each kind the least. Of tokens' only the
    /// one's that looks.
    pub(crate) fn lefts(&self, token: Lists, now: Millis) -> Vec<Left> {
        let mut lefts = Vec::new();
        for book in self.books.iter().filter(|book| !book.is_of_token() || book.counts(token)) {
            for (kind, name) in book.kinds().into_iter().enumerate() {
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
            let (used, kinds) = (book.spent_in_window(), book.kinds());
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
                    let kind = kinds[kind];
                    reached.push(Reached { kind, percent, limit, is_hard: rule.is_hard });
                }
            }
        }
        reached
    }
}

//! What an isolate keeps for all its requests: lent tickets, and reports that the
//! Gate must still hear. They ride on its next call, or go after 50 ms.

use std::collections::VecDeque;

use limits::Input;
use limits::borrow::Borrowed;
use limits::message::{Call, Event, Millis, VERSION};

use super::traffic::Stage;
use super::{Happens, World};

/// The longest wait of a report for a call to ride on: the Worker's.
const RIDE_MS: Millis = 50;
/// Reports a call: the Worker's bound.
const PER_CALL: usize = 64;
/// A good response's levels are told once in this span: the Worker's.
const LEVELS_MS: Millis = 100;

/// One isolate. The default is one that has just started.
#[derive(Clone, Debug, Default)]
pub(super) struct Isolate {
    pub(super) borrowed: Borrowed,
    untold: VecDeque<Event>,
    /// Whether a flush is on its way.
    is_armed: bool,
    /// Until when a flush stays for leases that end.
    guarded_until: Millis,
    levels_told: Millis,
    /// When the Gate started that it last heard of.
    pub(super) gate_started: Millis,
}

impl Isolate {
    /// Whether levels are news; then they count as told.
    pub(super) fn are_levels_news(&mut self, now: Millis) -> bool {
        let is_news = now >= self.levels_told + LEVELS_MS;
        if is_news {
            self.levels_told = now;
        }
        is_news
    }

    /// The reports that ride on one call.
    pub(super) fn take_reports(&mut self) -> Vec<Event> {
        self.untold.drain(..self.untold.len().min(PER_CALL)).collect()
    }

    /// True where it holds nothing of the Gate's and has nothing to say.
    pub(super) fn is_done(&self) -> bool {
        self.untold.is_empty() && self.borrowed.held_until().is_none()
    }
}

impl World<'_> {
    /// An isolate has something to tell.
    pub(super) fn tell(&mut self, isolate: usize, event: Event) {
        let it = &mut self.isolates[isolate];
        it.untold.push_back(event);
        if !std::mem::replace(&mut it.is_armed, true) {
            self.at(self.now + RIDE_MS, Happens::Flush(isolate));
        }
    }

    /// A reply came. A Gate that started since the last one has forgotten what runs.
    pub(super) fn heard(&mut self, isolate: usize, started: Millis) {
        if std::mem::replace(&mut self.isolates[isolate].gate_started, started) == started {
            return;
        }
        for index in 0..self.requests.len() {
            let request = &self.requests[index];
            if request.isolate == isolate && request.stage == Stage::Runs && !request.dead {
                self.tell_running(index);
            }
        }
    }

    /// Tells what found no call to ride on, and what is left of leases that are
    /// over; comes again when those that are not end.
    pub(super) fn flush(&mut self, isolate: usize) {
        let clock = self.clock(isolate);
        let it = &mut self.isolates[isolate];
        it.is_armed = false;
        let returns = it.borrowed.take_returns(clock);
        it.untold.extend(returns);
        let held_until = it.borrowed.held_until().filter(|until| *until > clock);
        if let Some(until) = held_until.filter(|_| clock >= it.guarded_until) {
            it.guarded_until = until;
            let at = until.saturating_add_signed(-self.skew(isolate));
            self.at(at, Happens::Flush(isolate));
        }
        loop {
            let events = self.isolates[isolate].take_reports();
            if events.is_empty() {
                break;
            }
            self.send(Input::Call(Call { v: VERSION, events, ..Call::default() }), isolate, None);
        }
    }
}

//! What was taken from a pool until when: tells what an observation of the
//! past cannot know of.

use std::collections::VecDeque;

use crate::message::Millis;

/// One mark in this span at most.
const STEP_MS: Millis = 50;
/// How far back marks reach: an answer that took longer to its first byte than
/// this says nothing that newer ones did not.
const REACH_MS: Millis = 120_000;

/// Cumulative use, and marks of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Requests, input, settled output since the start.
    pub(crate) taken: [i64; 3],
    marks: VecDeque<(Millis, [i64; 3])>,
}

impl History {
    /// Marks the use before something is taken at `now`; `generated` is output
    /// settled and assumed.
    pub(crate) fn record(&mut self, now: Millis, generated: i64) {
        if self.marks.back().is_some_and(|(at, _)| now < at + STEP_MS) {
            return;
        }
        while self.marks.front().is_some_and(|(at, _)| at + REACH_MS < now) {
            self.marks.pop_front();
        }
        self.marks.push_back((now, [self.taken[0], self.taken[1], generated]));
    }

    /// The most that can have been taken since `then`: from the last mark at or
    /// before it. None: it is out of reach.
    pub(crate) fn since(&self, then: Millis, generated: i64) -> Option<[i64; 3]> {
        let after = self.marks.partition_point(|(at, _)| *at <= then);
        let (_, mark) = self.marks.get(after.checked_sub(1)?)?;
        Some([self.taken[0] - mark[0], self.taken[1] - mark[1], generated - mark[2]])
    }

    /// Requests taken since `then`, as far as marks reach.
    pub(crate) fn requests_since(&self, then: Millis) -> i64 {
        let after = self.marks.partition_point(|(at, _)| *at < then);
        self.marks.get(after).map_or(0, |(_, mark)| self.taken[0] - mark[0])
    }
}

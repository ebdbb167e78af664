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
    /// Requests, input, output since the start; output settled or assumed.
    pub(crate) taken: [i64; 3],
    marks: VecDeque<(Millis, [i64; 3])>,
}

impl History {
    /// Marks the use before something is taken at `now`.
    pub(crate) fn record(&mut self, now: Millis) {
        if self.marks.back().is_some_and(|(at, _)| now < at + STEP_MS) {
            return;
        }
        while self.marks.front().is_some_and(|(at, _)| at + REACH_MS < now) {
            self.marks.pop_front();
        }
        self.marks.push_back((now, self.taken));
    }

    /// The most that can have been taken since `then`: from the last mark at or
    /// before it. None: it is out of reach.
    pub(crate) fn since(&self, then: Millis) -> Option<[i64; 3]> {
        let after = self.marks.partition_point(|(at, _)| *at <= then);
        let (_, mark) = self.marks.get(after.checked_sub(1)?)?;
        Some(std::array::from_fn(|kind| self.taken[kind] - mark[kind]))
    }

    /// Requests taken since `then`, as far as marks reach.
    pub(crate) fn requests_since(&self, then: Millis) -> i64 {
        let after = self.marks.partition_point(|(at, _)| *at < then);
        self.marks.get(after).map_or(0, |(_, mark)| self.taken[0] - mark[0])
    }
}

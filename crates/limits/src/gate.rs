//! The Gate: one machine that holds every limit and the queue.
//!
//! `handle(now, input)` decides and returns what the shell must do: store the
//! writes atomically *before* anything else leaves, then send the reply and the
//! answers, then set its one timer. Called from the Durable Object
//! (`edge/src/objects/gate.rs`) and the simulator.

use crate::admin::{AdminInput, AdminReply};
use crate::message::{Call, Millis, Reply, TicketId, View};

/// What the shell hands in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A call that is answered at once.
    Call(Call),
    /// The same call again for a queued request: decided at once, or parked and
    /// answered later through [`Output::answers`].
    Poll(Call),
    /// A parked call's slice is over: answered `Queued` through
    /// [`Output::answers`], unless it was answered before.
    Release {
        /// Whose call.
        ticket: TicketId,
    },
    /// The timer rang, or the alarm.
    Wake,
    /// What one caller may still use.
    View {
        /// The caller's tenant.
        tenant: String,
        /// Its end user.
        user: Option<String>,
        /// Whether the key may see the accounts' own levels.
        account_scope: bool,
    },
    /// An operator's request.
    Admin(AdminInput),
}

/// What the shell must do, in this order: writes, then reply and answers, then
/// the timer.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The answer to this input.
    pub reply: Answer,
    /// Answers to parked calls.
    pub answers: Vec<(TicketId, Reply)>,
    /// Rows to store, all or none, before anything else leaves.
    pub writes: Vec<Write>,
    /// When to send [`Input::Wake`]; replaces the time told before.
    pub wake_at: Option<Millis>,
}

/// The answer to one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To a call, or a poll that could be decided.
    Reply(Reply),
    /// The poll is parked: its answer comes later.
    Parked,
    /// To a view.
    View(View),
    /// To an operator.
    Admin(AdminReply),
    /// To a release or wake: nothing.
    None,
}

/// One row to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its key: at most 512 bytes.
    pub key: String,
    /// Its value; none: delete the row.
    pub value: Option<String>,
}

//! The emulator's time: the system's, or one that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where `now_ms` comes from. Delays of answers are not part of it.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Steady milliseconds, counted from the wall clock at the start.
    System {
        /// When it was started.
        started: Instant,
        /// What it showed then, ms since the epoch.
        epoch_ms: u64,
    },
    /// Stands still until a test moves it.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's, `ahead_ms` ahead of it.
    pub fn system(ahead_ms: i64) -> Self {
        // Before 1970 the epoch itself is as good.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_ms = (since.as_millis() as u64).saturating_add_signed(ahead_ms);
        Self::System { started: Instant::now(), epoch_ms }
    }

    /// One that stands at `now_ms`.
    pub fn manual(now_ms: u64) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(now_ms)))
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System { started, epoch_ms } => epoch_ms + started.elapsed().as_millis() as u64,
            Self::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock; the system's goes its own way.
    pub fn advance(&self, ms: u64) {
        if let Self::Manual(now) = self {
            now.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

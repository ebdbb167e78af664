//! What the Gate is told of the settings, in its own words.

use limits::ByName;
use limits::settings::{self, AccountSettings, Durability, GateSettings, QueueSettings};

use providers::models;

use crate::Settings;
use crate::account::{Account, ClassLimits, Fail, Headroom, Reserves, Tier};
use crate::gate::Gate;

/// The class of token counting, as the Gate and the providers' data name it.
const COUNT_TOKENS: &str = "count_tokens";

impl Settings {
    /// What the Gate is told.
    pub fn gate_settings(&self) -> GateSettings {
        let mut told = GateSettings {
            queue: tell_queue(&self.gate),
            budgets: self.gate.budgets.clone(),
            durability: tell_chunk(&self.gate),
            leases: self.gate.leases,
            ..GateSettings::default()
        };
        for (name, account) in &self.accounts {
            told.accounts.insert(name.clone(), Box::new(tell_account(account)));
        }
        told
    }
}

fn tell_account(account: &Account) -> AccountSettings {
    AccountSettings {
        limits: first_beliefs(account),
        share_permille: account.share.permille,
        headroom: match account.headroom {
            Headroom::Adaptive => settings::Headroom::Adaptive,
            Headroom::Guide => settings::Headroom::Guide,
            Headroom::Fixed { rpm, itpm, otpm } => settings::Headroom::Fixed {
                rpm: rpm.permille,
                itpm: itpm.permille,
                otpm: otpm.permille,
            },
        },
        reserves: match account.reserves {
            Reserves::Generated => settings::Reserves::Generated,
            Reserves::MaxTokens => settings::Reserves::MaxTokens,
        },
        fail: match account.fail {
            Fail::Closed => settings::Fail::Closed,
            Fail::Open => settings::Fail::Open,
        },
    }
}

/// By class: what is set for it, else for `*`, else what its tier is known for.
/// Token counting has buckets of its own, and is no model's class: `*` passes it by.
fn first_beliefs(account: &Account) -> ByName<settings::ClassLimits> {
    let all = account.limits.get("*").map(|all| **all).unwrap_or_default();
    let all_of = |class: &str| if class == COUNT_TOKENS { ClassLimits::default() } else { all };
    let mut beliefs = ByName::new();
    beliefs.insert(COUNT_TOKENS.to_owned(), Box::<ClassLimits>::default());
    for (class, limits) in account.tier.iter().flat_map(|tier| published(*tier)) {
        beliefs.insert(class.to_owned(), Box::new(all_of(class).or(limits)));
    }
    for (class, limits) in &account.limits {
        let beneath = beliefs.get(class).map(|limits| **limits).unwrap_or_else(|| all_of(class));
        beliefs.insert(class.clone(), Box::new(limits.or(beneath)));
    }
    let tell = |(class, limits): (String, Box<ClassLimits>)| {
        let ClassLimits { rpm, itpm, otpm, concurrent } = *limits;
        (class, Box::new(settings::ClassLimits { rpm, itpm, otpm, concurrent }))
    };
    let mut told = ByName::new();
    told.extend(beliefs.into_iter().map(tell));
    told
}

/// What a provider publishes of a tier, by class.
fn published(tier: Tier) -> impl Iterator<Item = (&'static str, ClassLimits)> {
    let classes = models::all().iter().map(|model| model.class).chain([COUNT_TOKENS]);
    classes.filter_map(move |class| {
        let limits = models::tier(tier.name(), class)?;
        Some((
            class,
            ClassLimits {
                rpm: Some(limits.rpm),
                itpm: limits.itpm,
                otpm: limits.otpm,
                concurrent: None,
            },
        ))
    })
}

fn tell_queue(gate: &Gate) -> QueueSettings {
    let waits = gate.queue.wait_s;
    QueueSettings {
        length_max: gate.queue.length_max as usize,
        bytes_max: gate.queue.bytes_max,
        tokens_max: gate.queue.tokens_max,
        patience_ms: [waits.critical, waits.normal, waits.background].map(|s| u64::from(s) * 1_000),
        patience_max_ms: u64::from(gate.queue.wait_s_max) * 1_000,
    }
}

fn tell_chunk(gate: &Gate) -> Durability {
    Durability {
        bucket_permille: gate.chunk.bucket.permille,
        budget_permille: gate.chunk.budget.permille,
        requests_chunk: gate.chunk.requests,
        tokens_chunk: gate.chunk.tokens,
        microusd_chunk: gate.chunk.usd.0,
        ..Durability::default()
    }
}

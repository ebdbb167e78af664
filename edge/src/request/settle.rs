//! Step 9: what an attempt used, once and for all (invariants 2 and 3).

use limits::message::{Event, MicroUsd, Millis, Pool, Settle, Tokens, Used};
use providers::Usage;
use providers::anthropic::request::{Facts, Thinking};
use providers::price;

use super::auth::Caller;
use super::estimate::Size;
use super::route::Chosen;

/// An attempt's ticket: what its settlement must say.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    id: String,
    /// Which attempt it is good for.
    pub attempt: u32,
    /// Whether that attempt is settled.
    pub settled: bool,
    /// The Gate never said yes: what is used is recorded afterwards (`fail = "open"`).
    pub unasked: bool,
    tenant: String,
    user: Option<String>,
    /// The job that its request names.
    pub job: Option<String>,
    key: String,
    pool: Pool,
    /// The model as asked for, bounded.
    pub model: String,
    size: Size,
    hidden: bool,
    /// What its attempts cost so far.
    pub spent: MicroUsd,
    /// When its attempt was sent, if it was.
    sent_ms: Option<Millis>,
}

impl Ticket {
    /// For a request's first attempt.
    pub fn new(id: &str, caller: &Caller, route: &Chosen, facts: &Facts, size: &Size) -> Self {
        Self {
            id: id.to_owned(),
            attempt: 0,
            settled: false,
            unasked: false,
            tenant: caller.tenant.clone(),
            user: caller.user.clone(),
            job: None,
            key: caller.key().to_owned(),
            pool: route.pool.clone(),
            model: super::route::clipped(&facts.model).to_owned(),
            size: *size,
            hidden: hidden(facts),
            spent: 0,
            sent_ms: None,
        }
    }

    /// It is a lent one: the Gate knows it by this name.
    pub fn lent(&mut self, id: String) {
        self.id = id;
    }

    /// Its attempt goes to the provider.
    pub fn sent(&mut self, now: Millis) {
        self.sent_ms = Some(now);
    }

    /// The ticket's name: the request's, unless it was lent.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is good.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Whether output may be billed that is not streamed: thinking is streamed
    /// summarised and billed in full, tools of the provider's run unseen.
    pub fn hidden(&self) -> bool {
        self.hidden
    }

    /// The request's own limit on its output.
    pub fn max_tokens(&self) -> Tokens {
        self.size.max_tokens
    }

    /// Proof that nothing was used: never sent, or refused by the provider.
    pub fn nothing(&mut self, now: Millis) -> Option<Event> {
        self.settle(Used::Nothing, now)
    }

    /// The provider's own figures.
    pub fn used(&mut self, model: &str, usage: &Usage, now: Millis) -> Option<Event> {
        let cost = price::cost(model, usage, now);
        let used = Used::Tokens {
            input: usage.limit_input(),
            input_total: usage.input_total(),
            output: usage.output,
            microusd: cost.microusd,
            estimated: cost.estimated,
        };
        self.settle(used, now)
    }

    /// No whole usage came: the reported input, or the upper bound of the
    /// estimate, and an upper bound of the output.
    pub fn bound(
        &mut self,
        reported: Option<&Usage>,
        output: Option<Tokens>,
        now: Millis,
    ) -> Option<Event> {
        let output = output.unwrap_or(self.size.max_tokens).min(self.size.max_tokens);
        let (input, input_total, microusd) = match reported {
            Some(usage) => {
                let bound = Usage { output, ..usage.clone() };
                (
                    usage.limit_input(),
                    usage.input_total(),
                    price::cost(&self.model, &bound, now).microusd,
                )
            }
            None => (self.size.input_tokens, self.size.input_upper, self.size.microusd_max),
        };
        self.settle(Used::Tokens { input, input_total, output, microusd, estimated: true }, now)
    }

    /// A request without tokens of its own (count_tokens).
    pub fn counted(&mut self, now: Millis) -> Option<Event> {
        self.settle(
            Used::Tokens { input: 0, input_total: 0, output: 0, microusd: 0, estimated: false },
            now,
        )
    }

    fn settle(&mut self, used: Used, now: Millis) -> Option<Event> {
        if std::mem::replace(&mut self.settled, true) {
            return None;
        }
        if let Used::Tokens { microusd, .. } = used {
            self.spent = self.spent.saturating_add(microusd);
        }
        Some(Event::Settled(Settle {
            ticket: self.id.clone(),
            attempt: self.attempt,
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            job: self.job.clone(),
            key: self.key.clone(),
            pool: self.pool.clone(),
            model: self.model.clone(),
            max_tokens: self.size.max_tokens,
            input_estimate: self.size.input_tokens,
            kinds: if self.size.teaches { self.size.kinds } else { Default::default() },
            cached: self.size.cached,
            used,
            unasked: self.unasked,
            at_ms: now,
            ran_ms: self.sent_ms.map_or(0, |sent| now.saturating_sub(sent)),
        }))
    }
}

fn hidden(facts: &Facts) -> bool {
    // Unset counts: newer models think unasked.
    facts.thinking != Thinking::Disabled || facts.server_tools > 0 || facts.mcp_servers > 0
}

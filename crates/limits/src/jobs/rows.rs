//! The rows of jobs: what a restart finds of them (invariant 8).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{EVERY_LIST, Job, Number};
use crate::amounts::Three;
use crate::gate::Gate;
use crate::message::Millis;

/// What a job's row is called, with tenant and id.
const TABLE: &str = "job";

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    created: Millis,
    expires: Millis,
    total: Three,
    mark: Three,
}

impl Gate {
    /// The row of a job; none once it is over: what its open requests hold is
    /// counted as spent by a restart, as of any request.
    pub(super) fn write_job(&mut self, number: Number) {
        let Some(job) = self.jobs.jobs.get_mut(&number) else { return };
        job.mark = job.spent();
        let Job { created, expires, total, mark, .. } = *job;
        let saved = Saved { created, expires, total, mark };
        let key = [TABLE, &self.tenants[job.tenant].name, &job.id].join("/");
        let row = if job.is_over { None } else { serde_json::to_string(&saved).ok() };
        self.write(key, row);
    }

    /// Quiet: rows say exactly what is used, so that a restart costs nothing.
    pub(crate) fn tighten_jobs(&mut self) {
        let mut loose = Vec::new();
        loose.extend(self.jobs.jobs.iter().filter_map(|(number, job)| {
            (!job.is_over && job.spent() != job.mark).then_some(*number)
        }));
        for number in loose {
            self.write_job(number);
        }
    }

    /// A stored job: its mark counts as used. What it has left was counted as
    /// spent by the scopes' ceilings, and is held again.
    pub(crate) fn restore_job(&mut self, name: &str, row: &str) {
        let Some((tenant, id)) = name.split_once('/') else { return };
        let Ok(Saved { created, expires, total, mark }) = json::from_str(row) else { return };
        let tenant = self.tenant(tenant);
        let number = self.jobs.insert(Job {
            tenant,
            id: id.to_owned(),
            created,
            expires,
            total,
            used: mark,
            held: [0; 3],
            waiting: [0; 3],
            open: 0,
            is_over: false,
            mark,
            is_held: false,
            places: BTreeSet::new(),
        });
        let rest = self.jobs.jobs.get(&number).map(Job::rest).unwrap_or_default();
        self.deployment.budgets.hold_again(&rest, EVERY_LIST);
    }

    /// The deployment's own row came after those of jobs.
    pub(crate) fn hold_restored_by_deployment(&mut self) {
        for job in self.jobs.jobs.values() {
            self.deployment.budgets.hold_again(&job.rest(), EVERY_LIST);
        }
    }

    /// A tenant's row was met after a start.
    pub(crate) fn hold_restored(&mut self, tenant: usize) {
        let scope = &mut self.tenants[tenant].scope;
        let of = |job: &&mut Job| job.tenant == tenant && !job.is_held;
        for job in self.jobs.jobs.values_mut().filter(of) {
            job.is_held = true;
            scope.budgets.hold_again(&job.rest(), EVERY_LIST);
        }
    }
}

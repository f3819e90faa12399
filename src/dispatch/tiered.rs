//! Requests that wait for upstream: until their keys are here, or until upstream has answered them.

use std::time::Duration;

use super::route::{self, Ran, Run};
use super::{BUSY_PAUSE, lenient};
use crate::commands::error::Error;
use crate::commands::spec::Result;
use crate::config::FailMode;
use crate::store::{Freshness, Visit};
use crate::tiers::{Begun, Filled, Flights, Tiers, Way};
use crate::worker::Worker;

/// Runs a request in its way. `begun` is what was begun for it ahead of its turn.
pub async fn run(
    run: Run<'_>,
    way: Way,
    begun: Option<Begun>,
    tiers: &Tiers,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result {
    let flights = match begun {
        Some(Begun::Passage(passage)) => return passage.arrive(run.protocol, out).await,
        Some(Begun::Flights(flights)) => Some(flights),
        None => None,
    };
    match way {
        Way::Filled => read(run, flights, tiers, worker, out).await,
        Way::Deferred => write(run, tiers, worker, out).await,
        Way::Here | Way::Upstream => forward(run, tiers, worker, out).await,
    }
}

/// Runs a request that only reads, once its keys are here. When upstream does not answer, or not in time, what may be
/// served otherwise is served.
async fn read(
    run: Run<'_>,
    flights: Option<Flights>,
    tiers: &Tiers,
    worker: &Worker,
    out: &mut Vec<u8>,
) -> Result {
    let run = Run {
        visit: lenient(run.visit),
        ..run
    };
    let flights = flights.unwrap_or_else(|| tiers.begin_fill(run.entry, run.request, run.visit));
    let filling = tiers.fill(flights, run.entry, run.request, run.visit);
    let mut filling = std::pin::pin!(filling);
    let (fail_mode, soft_deadline) = tiers.patience(run.entry, run.request);
    let filled = match in_time(soft_deadline, filling.as_mut()).await {
        Some(filled) => filled,
        None if rescue(run, worker, out).await? => return Ok(()),
        None => filling.await,
    };
    match filled {
        Ok(Filled::Known { missing }) => {
            let run = Run {
                missing: &missing,
                ..run
            };
            // What is absent now was found missing, or has changed meanwhile.
            if run_when_free(run, worker, out).await? {
                return Ok(());
            }
            forward(run, tiers, worker, out).await
        }
        Ok(Filled::Elsewhere) => forward(run, tiers, worker, out).await,
        Err(error) => fail(run, error, fail_mode, worker, out).await,
    }
}

/// The result, or nothing if it does not come within `patience`; zero: however long it takes.
async fn in_time<T>(patience: Duration, future: impl Future<Output = T>) -> Option<T> {
    if patience.is_zero() {
        return Some(future.await);
    }
    tokio::time::timeout(patience, future).await.ok()
}

/// Answers a read without upstream, as the namespaces of its keys say.
async fn fail(run: Run<'_>, error: Error, mode: FailMode, worker: &Worker, out: &mut Vec<u8>) -> Result {
    let is_answered = match mode {
        FailMode::Stale => rescue(run, worker, out).await?,
        FailMode::Local => run_locally(run, worker, out).await?,
        FailMode::Error => false,
    };
    if is_answered { Ok(()) } else { Err(error) }
}

/// Runs a read on whatever copies there are; false if that is not all of its keys.
async fn rescue(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result<bool> {
    let visit = Visit {
        freshness: Freshness::Rescue,
        ..run.visit
    };
    run_when_free(Run { visit, ..run }, worker, out).await
}

/// Runs a request as if there were no upstream.
async fn run_locally(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result<bool> {
    let visit = Visit {
        freshness: Freshness::Rescue,
        ..run.visit
    };
    let run = Run {
        visit,
        is_complete: true,
        ..run
    };
    run_when_free(run, worker, out).await
}

/// Runs a request whose changes are carried later, once there is room for them and what it needs to know is here. What
/// can't be carried as a whole each time is upstream's to change.
async fn write(run: Run<'_>, tiers: &Tiers, worker: &Worker, out: &mut Vec<u8>) -> Result {
    let bytes = run.request.iter().map(<[u8]>::len).sum();
    tiers.behind.wait_for_room(bytes).await?;
    let run = run.deferred();
    if run.is_complete && run_when_free(run, worker, out).await? {
        return Ok(());
    }
    let flights = tiers.begin_fill(run.entry, run.request, run.visit);
    if let Filled::Known { missing } = tiers.fill(flights, run.entry, run.request, run.visit).await? {
        let run = Run {
            missing: &missing,
            ..run
        };
        if run_when_free(run, worker, out).await? {
            return Ok(());
        }
    }
    if tiers.marks(run.entry, run.request) {
        // Upstream has texts in a form that it can't change.
        return Err(Error::OutOfMemory);
    }
    forward(run, tiers, worker, out).await
}

/// Has upstream answer a request, after what it may depend on was carried.
async fn forward(run: Run<'_>, tiers: &Tiers, worker: &Worker, out: &mut Vec<u8>) -> Result {
    let Run {
        entry,
        request,
        visit,
        ..
    } = run;
    tiers.carry_before(entry, request, visit.db).await?;
    // Nothing is sent then, so nothing of it can have been done.
    let is_local =
        tiers.is_cut_off() && !entry.command.keys.is_empty() && tiers.is_local_when_cut_off(entry, request);
    if is_local && run_locally(run, worker, out).await? {
        return Ok(());
    }
    tiers
        .begin_forward(entry, request, visit.db)
        .arrive(run.protocol, out)
        .await
}

/// Runs a request as soon as no other thread keeps one of its shards; false if it can't be answered here.
async fn run_when_free(run: Run<'_>, worker: &Worker, out: &mut Vec<u8>) -> Result<bool> {
    let visit = Visit {
        now_ms: worker.services.clock.unix_ms(),
        ..run.visit
    };
    let run = Run { visit, ..run };
    loop {
        match route::run_on_keys(run, worker, out)? {
            Ran::Done => return Ok(true),
            Ran::MustWait => return Ok(false),
            Ran::Busy => tokio::time::sleep(BUSY_PAUSE).await,
        }
    }
}

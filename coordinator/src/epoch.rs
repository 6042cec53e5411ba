//! Who may speak for a run: each coordinator takes the next number, from 1, by creating an object if it is absent. One
//! that sees a later number than its own has been replaced.
//!
//! A coordinator that gives a run up for good closes it before it deletes anything: it creates `closed` and then looks for
//! a later epoch; whoever resumes a run takes an epoch and then looks for `closed`. So at least one of the two sees the
//! other, and parts that somebody still counts on are never deleted.

use bytes::Bytes;
use stedi_job::Epoch;
use stedi_lake::{RunId, layout};
use stedi_store::{Lake, PutNew, StoreError};

/// Where the object of an epoch lies.
fn path(run: RunId, epoch: Epoch) -> String {
    format!("{}/epochs/{:05}.json", layout::run_dir(run), epoch.0)
}

/// Takes the next epoch of a run.
pub(crate) async fn take(lake: &Lake, run: RunId, holder: &str) -> Result<Epoch, StoreError> {
    let taken = lake.list(&format!("{}/epochs", layout::run_dir(run))).await?;
    let number = |path: &str| path.rsplit('/').next()?.strip_suffix(".json")?.parse::<u32>().ok();
    let mut epoch = Epoch(taken.iter().filter_map(|object| number(&object.path)).max().unwrap_or(0) + 1);
    let text = serde_json::json!({ "holder": holder, "taken_at_ms": stedi_run::now_ms() }).to_string();
    loop {
        // a lost reply makes this one look taken by somebody else: then the next one is ours, and fences it
        if lake.put_new(&path(run, epoch), Bytes::from(text.clone())).await? == PutNew::Created {
            return Ok(epoch);
        }
        epoch.0 += 1;
    }
}

/// The later epoch that another coordinator has taken, if so.
pub(crate) async fn later(lake: &Lake, run: RunId, epoch: Epoch) -> Result<Option<Epoch>, StoreError> {
    let next = Epoch(epoch.0 + 1);
    match lake.read(&path(run, next)).await {
        Ok(_) => Ok(Some(next)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn closed_path(run: RunId) -> String {
    format!("{}/closed", layout::run_dir(run))
}

/// Closes a run. Whether nobody else has to do with it, so that what it has written may be deleted.
pub(crate) async fn close(lake: &Lake, run: RunId, epoch: Epoch) -> Result<bool, StoreError> {
    lake.put_new(&closed_path(run), Bytes::from_static(b"closed")).await?;
    Ok(later(lake, run, epoch).await?.is_none())
}

/// Whether a run was given up. To be asked by whoever has taken an epoch of it.
pub(crate) async fn is_closed(lake: &Lake, run: RunId) -> Result<bool, StoreError> {
    match lake.read(&closed_path(run)).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

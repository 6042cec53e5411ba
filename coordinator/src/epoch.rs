//! Who may speak for a run: each coordinator takes the next number, from 1, by creating an object if it is absent. One
//! that sees a later number than its own has been replaced.

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

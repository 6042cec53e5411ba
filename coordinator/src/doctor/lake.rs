//! The lake: whether it can be read and written as a run must.

use bytes::Bytes;
use stedi_lake::{CuratedTable, LandingTable, RunId, layout};
use stedi_run::{new_run_id, now_ms};
use stedi_store::{Lake, LandingObject, StoreError, probe};
use stedi_worker::read::LandingReader;

use super::Finding;
use crate::args::DoctorCommand;

/// A clock that is further off than this makes S3 refuse requests soon, and `gc` misjudge ages.
const SKEW_MS_MAX: u64 = 5 * 60 * 1000;

/// What stores round times to.
const ROUNDING_MS: u64 = 2_000;

const TEXT: &[u8] = b"written by stedi-coordinator doctor, and to be removed by it";

pub(super) async fn examine(args: &DoctorCommand) -> Vec<Finding> {
    let lake = match Lake::open(&args.lake) {
        Ok(lake) => lake,
        Err(error) => return vec![Finding::failed("lake", &error), Finding::skipped("objects", "there is no lake")],
    };
    let visitor = match new_run_id() {
        Ok(visitor) => visitor,
        Err(error) => return vec![Finding::failed("lake", &error)],
    };
    let mut findings = vec![Finding::ok("lake", format!("{} opens", lake.uri()))];
    findings.extend(objects(&lake, visitor).await);
    let honoured = probe(&lake, visitor).await;
    findings.push(Finding::of("conditional writes", honoured, |()| "the store honours create-if-absent".to_owned()));
    let writable = tables(&lake, visitor).await;
    findings.push(Finding::of("tables", writable, |()| "parts of all five can be written and removed".to_owned()));
    for table in LandingTable::ALL {
        findings.push(landing(&lake, table, &args.landing.folders()[&table]).await);
    }
    findings
}

/// Puts, lists, gets and deletes an object, and looks at the store's clock by the way.
async fn objects(lake: &Lake, visitor: RunId) -> Vec<Finding> {
    let folder = layout::run_dir(visitor);
    let path = format!("{folder}/doctor");
    let before_ms = now_ms();
    let steps = async {
        lake.put_new(&path, Bytes::from_static(TEXT)).await?;
        let after_ms = now_ms();
        let listed = lake.list(&folder).await?.into_iter().find(|object| object.path == path);
        let read = lake.read(&path).await?;
        Ok::<_, StoreError>((after_ms, listed, read))
    };
    let outcome = steps.await;
    // also if one of them failed: the object may be there nevertheless
    let deleted = lake.delete(&path).await;
    let _ = lake.remove_empty_folders(&folder).await;
    let (after_ms, listed, read) = match (outcome, deleted) {
        (Ok(outcome), Ok(())) => outcome,
        (Err(error), _) | (Ok(_), Err(error)) => {
            return vec![
                Finding::failed("objects", &error),
                Finding::skipped("clock", "there is no object to look at"),
            ];
        }
    };
    let Some(listed) = listed else {
        let detail = format!("{} was written and is not listed: the store must list what it has", lake.location(&path));
        return vec![Finding::wrong("objects", detail)];
    };
    if read.as_ref() != TEXT {
        return vec![Finding::wrong("objects", format!("{} is not what was written", lake.location(&path)))];
    }
    let objects = Finding::ok("objects", format!("put, list, get and delete work below {}", lake.location(&folder)));
    vec![objects, clock(before_ms, listed.modified_ms, after_ms)]
}

/// How far the store's clock is off from ours, by an object that was written between two looks at ours.
fn clock(before_ms: u64, stored_ms: u64, after_ms: u64) -> Finding {
    if stored_ms == 0 {
        return Finding::skipped("clock", "the store does not say when an object was written");
    }
    let behind_ms = before_ms.saturating_sub(stored_ms.saturating_add(ROUNDING_MS));
    let ahead_ms = stored_ms.saturating_sub(after_ms.saturating_add(ROUNDING_MS));
    let off_s = behind_ms.max(ahead_ms).div_ceil(1000);
    if behind_ms.max(ahead_ms) > SKEW_MS_MAX {
        Finding::wrong("clock", format!("{off_s} s off from the store's: set this machine's clock (NTP)"))
    } else {
        Finding::ok("clock", format!("at most {} s off from the store's", off_s + ROUNDING_MS / 1000))
    }
}

/// Writes and removes an object where the parts of each table would be.
async fn tables(lake: &Lake, visitor: RunId) -> Result<(), StoreError> {
    for table in CuratedTable::ALL {
        let folder = layout::table_run_dir(table, visitor);
        let path = format!("{folder}/doctor");
        let written = lake.put_new(&path, Bytes::from_static(TEXT)).await;
        let deleted = lake.delete(&path).await;
        let _ = lake.remove_empty_folders(&folder).await;
        written?;
        deleted?;
    }
    Ok(())
}

async fn landing(lake: &Lake, table: LandingTable, elsewhere: &[String]) -> Finding {
    let check = table.name();
    let mut objects = Vec::new();
    if elsewhere.is_empty() {
        match lake.landing(table).await {
            Ok(listed) => objects.extend(listed),
            Err(error) => return Finding::failed(check, &error),
        }
    }
    for uri in elsewhere {
        match lake.landing_elsewhere(uri, table).await {
            Ok(listed) => objects.extend(listed),
            Err(error) => return Finding::failed(check, &error),
        }
    }
    let Some(first) = objects.first().cloned() else {
        let place = if elsewhere.is_empty() { lake.location(table.path()) } else { elsewhere.join(", ") };
        return match table {
            LandingTable::Customer => {
                Finding::wrong(check, format!("there is nothing in {place}: a run needs customers"))
            }
            _ => Finding::ok(check, format!("there is nothing in {place} yet")),
        };
    };
    let (count, name) = (objects.len(), first.key.clone());
    match can_read(first).await {
        Ok(()) => Finding::ok(check, format!("{count} objects, of which {name} can be read")),
        Err(error) => Finding::failed(check, &error),
    }
}

async fn can_read(object: LandingObject) -> Result<(), stedi_worker::read::ReadError> {
    let reader = LandingReader::new(tokio::runtime::Handle::current());
    let looked = tokio::task::spawn_blocking(move || reader.start(&object).map(|_| ()));
    looked.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_may_be_a_little_off() {
        let hour_ms = 3_600_000;
        assert_eq!(clock(hour_ms, hour_ms - 900, hour_ms + 10).state, State::Ok);
        assert_eq!(clock(hour_ms, 2 * hour_ms, hour_ms + 10).state, State::Failed);
        assert_eq!(clock(2 * hour_ms, hour_ms, 2 * hour_ms).state, State::Failed);
        assert!(clock(2 * hour_ms, hour_ms, 2 * hour_ms).detail.contains("3598 s"));
        assert_eq!(clock(hour_ms, 0, hour_ms).state, State::Skipped);
    }
}

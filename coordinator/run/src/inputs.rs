//! What a run reads: the landing objects as they are listed once, at its start.

use std::collections::BTreeMap;

use stedi_job::plan as job_plan;
use stedi_job::task::ObjectCounts;
use stedi_lake::LandingTable;
use stedi_lake::commit::{CommitRecord, FORMAT_VERSION, InputVersion, fingerprint};
use stedi_lake::options::TableOptions;
use stedi_lake::report::{LandingCounts, LedgerEntry};
use stedi_store::{ElsewhereError, Lake, LandingObject, StoreError, absolute};

use crate::{RunConfig, RunError, gone_parts};

/// The landing objects of a run.
#[derive(Clone, Debug)]
pub struct Inputs {
    objects: BTreeMap<LandingTable, Vec<LandingObject>>,
    elsewhere: BTreeMap<LandingTable, Vec<String>>,
    fingerprint: String,
    /// Records that the current commit has read of each table that must not have become empty.
    expected: BTreeMap<LandingTable, u64>,
}

impl Inputs {
    /// Lists the landing of `lake`, or what `config` names instead.
    ///
    /// # Errors
    /// If landing cannot be listed, or there are no customers in it.
    pub async fn list(lake: &Lake, config: &RunConfig) -> Result<Self, RunError> {
        let (mut objects, mut folders) = (BTreeMap::new(), BTreeMap::new());
        for table in LandingTable::ALL {
            let mut listed = Vec::new();
            match config.landing.get(&table).filter(|elsewhere| !elsewhere.is_empty()) {
                Some(elsewhere) => {
                    let mut uris = Vec::new();
                    for uri in elsewhere {
                        listed.extend(lake.landing_elsewhere(uri, table).await?);
                        uris.push(absolute(uri).map_err(ElsewhereError::from)?);
                    }
                    uris.sort_unstable();
                    uris.dedup();
                    folders.insert(table, uris);
                    listed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                    // the same object twice is one object, not twice its records
                    listed.dedup_by(|a, b| a.key == b.key);
                }
                None => listed = lake.landing(table).await?,
            }
            if table == LandingTable::Customer && listed.is_empty() {
                return Err(RunError::NoLanding(lake.location(table.path())));
            }
            objects.insert(table, listed);
        }
        let versions = objects.values().flatten().map(|o| InputVersion {
            table: o.table,
            key: &o.key,
            etag: &o.etag,
            bytes: o.bytes,
        });
        let fingerprint = fingerprint(versions.collect());
        Ok(Self { objects, elsewhere: folders, fingerprint, expected: BTreeMap::new() })
    }

    /// The same for a run that follows `current`: a table that had records must have some, unless `allow_empty` is set. One
    /// that has none is more likely a lost mount or a mistyped prefix than the wish to empty the tables.
    ///
    /// # Errors
    /// If there are no objects where there were records.
    pub fn following(self, current: Option<&CommitRecord>, allow_empty: bool) -> Result<Self, RunError> {
        let had = current.filter(|_| !allow_empty).into_iter().flat_map(|current| &current.landing);
        let expected = had.filter(|(_, counts)| counts.rows > 0).map(|(table, counts)| (*table, counts.rows)).collect();
        let inputs = Self { expected, ..self };
        inputs.refuse_empty(|table| !inputs.objects(table).is_empty())?;
        Ok(inputs)
    }

    /// Refuses tables that have become empty.
    pub(crate) fn refuse_empty(&self, has_some: impl Fn(LandingTable) -> bool) -> Result<(), RunError> {
        match self.expected.iter().find(|(table, _)| !has_some(**table)) {
            Some((&table, &before)) => Err(RunError::Emptied { table, before }),
            None => Ok(()),
        }
    }

    /// The objects of a table, sorted by key.
    pub fn objects(&self, table: LandingTable) -> &[LandingObject] {
        self.objects.get(&table).map_or(&[], Vec::as_slice)
    }

    /// The folders that were listed instead of the lake's own landing: absolute paths or `s3://` URIs.
    pub fn elsewhere(&self) -> &BTreeMap<LandingTable, Vec<String>> {
        &self.elsewhere
    }

    /// How many objects there are, all tables together.
    pub fn count(&self) -> usize {
        self.objects.values().map(Vec::len).sum()
    }

    /// Their size in bytes, all tables together.
    pub fn bytes(&self) -> u64 {
        self.objects.values().flatten().map(|o| o.bytes).sum()
    }

    /// The [`fingerprint`] of all objects.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What decides the bytes of the parts of a run over these inputs.
    pub fn table_options(&self, config: &RunConfig) -> TableOptions {
        let objects = self.objects.values().flatten().map(|o| (o.key.as_str(), o.bytes));
        TableOptions {
            consent: config.consent,
            match_mode: config.match_mode,
            dedupe: config.dedupe,
            shards: config.shards.unwrap_or_else(|| job_plan::shard_count(objects)),
            compression: config.compression,
        }
    }

    /// Whether `current` was made from this landing with these options, and its parts are all there.
    ///
    /// # Errors
    /// If the store cannot list the parts.
    pub async fn are_curated_in(
        &self,
        lake: &Lake,
        current: &CommitRecord,
        options: &TableOptions,
    ) -> Result<bool, StoreError> {
        Ok(self.are_those_of(current, options) && gone_parts(lake, current).await?.is_empty())
    }

    /// Whether `current` was made from this landing with these options.
    pub fn are_those_of(&self, current: &CommitRecord, options: &TableOptions) -> bool {
        current.format_version == FORMAT_VERSION
            && current.options == *options
            && current.inputs_fingerprint == self.fingerprint
    }

    /// The ledger: each object with what became of its records, summed over the tasks that read it. Tables that are not
    /// in `counts` were not read yet and are left out.
    ///
    /// # Panics
    /// If `counts` has an object that is not among the inputs.
    pub fn ledger(&self, counts: &BTreeMap<LandingTable, Vec<ObjectCounts>>) -> Vec<LedgerEntry> {
        let mut ledger = Vec::new();
        for (&table, counts) in counts {
            let first = ledger.len();
            ledger.extend(self.objects(table).iter().map(unread));
            for count in counts {
                let entry: &mut LedgerEntry = &mut ledger[first + count.object as usize];
                entry.counts.rows += count.kept + count.filtered + count.quarantined;
                entry.counts.kept += count.kept;
                entry.counts.filtered += count.filtered;
                entry.counts.quarantined += count.quarantined;
            }
        }
        ledger
    }
}

fn unread(object: &LandingObject) -> LedgerEntry {
    LedgerEntry {
        table: object.table,
        key: object.key.clone(),
        etag: object.etag.clone(),
        counts: LandingCounts { objects: 1, bytes: object.bytes, ..LandingCounts::default() },
    }
}

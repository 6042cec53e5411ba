//! Generated landing of every profile, under every combination of options.

use std::collections::BTreeSet;

use stedi::generate::{GenerateConfig, Profile};
use stedi_lake::{CuratedTable, LandingTable};
use stedi_sim::engine::{Lake, Setting};
use stedi_sim::{Curation, Oracle, generated};

fn config(profile: Profile, customers: u64) -> GenerateConfig {
    GenerateConfig { customers, seed: 7, ..GenerateConfig::new(profile) }
}

#[test]
fn clean_landing() {
    check(&config(Profile::Clean, 20));
}

#[test]
fn legacy_landing() {
    check(&config(Profile::Legacy, 40));
}

#[test]
fn messy_landing() {
    check(&config(Profile::Messy, 60));
}

/// Under every combination of options and for several shard counts: the tables are the oracle's, what cannot be read
/// is what the generator broke, and threads and memory change no byte.
fn check(config: &GenerateConfig) {
    let lake = Lake::new();
    let (landing, manifest) = generated::land(config, lake.path()).expect("landing is written");
    let oracle = Oracle::new();
    for curation in Curation::all() {
        let expected = oracle.curate(&landing, curation);
        for shards in [1, 2, 3, 7, 16] {
            let quiet = lake.run(curation, Setting { shards, threads: 1, memory_mib: 2048 });
            if let Some(difference) = quiet.difference(&expected, &landing) {
                panic!("{config:?} under {curation:?} with {shards} shards: {difference}");
            }
            for table in LandingTable::ALL {
                let counts = &quiet.commit.landing[&table];
                assert_eq!(counts.quarantined, manifest.tables[&table].bad, "bad records of {}", table.name());
            }
            for (threads, memory_mib) in [(2, 128), (4, 64)] {
                let other = lake.run(curation, Setting { shards, threads, memory_mib });
                if let Some(path) = quiet.parts.different_part(&other.parts) {
                    panic!(
                        "{path} differs with {threads} threads in {memory_mib} MiB: {config:?} {curation:?} {shards}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_object_is_accounted_for() {
    for profile in Profile::ALL {
        let lake = Lake::new();
        let (_, manifest) = generated::land(&config(profile, 60), lake.path()).expect("landing is written");
        let curation = Curation::all().next().expect("there are eight");
        let run = lake.run(curation, Setting { shards: 3, threads: 2, memory_mib: 128 });
        let ledger = lake.ledger(&run.commit);
        let generated: BTreeSet<&str> = manifest.objects.iter().map(|object| object.key.as_str()).collect();
        assert!(ledger.keys().all(|key| generated.contains(key.as_str())), "{profile}: the ledger invents objects");
        for object in &manifest.objects {
            let Some(counts) = ledger.get(&object.key) else {
                assert!(object.skipped, "{} ({}) was not read", object.key, object.shape);
                continue;
            };
            let bad: u64 = object.bad.values().sum();
            assert_eq!(
                (counts.rows, counts.quarantined),
                (object.rows + bad, bad),
                "{} ({})",
                object.key,
                object.shape
            );
            assert!(counts.balanced() && counts.bytes == object.bytes, "{}", object.key);
        }
    }
}

/// So many rows in one shard that it is spilled and, in little memory, joined in slices.
#[test]
fn a_shard_larger_than_memory() {
    larger_than_memory(&GenerateConfig { days: 7, ..config(Profile::Clean, 1500) });
}

/// Slices of serials that share users, and of users that share serials.
#[test]
fn a_shared_shard_larger_than_memory() {
    larger_than_memory(&GenerateConfig { days: 8, ..config(Profile::Legacy, 1500) });
}

fn larger_than_memory(config: &GenerateConfig) {
    let lake = Lake::new();
    let (landing, _) = generated::land(config, lake.path()).expect("landing is written");
    assert!(landing.accelerometer.len() > 360_000, "{} readings are no load", landing.accelerometer.len());
    let oracle = Oracle::new();
    for curation in Curation::all().filter(|curation| !curation.dedupe).step_by(3) {
        let expected = oracle.curate(&landing, curation);
        for memory_mib in [100, 2048] {
            let run = lake.run(curation, Setting { shards: 1, threads: 2, memory_mib });
            if let Some(difference) = run.difference(&expected, &landing) {
                panic!("{curation:?} in {memory_mib} MiB: {difference}");
            }
            let (tables, groups) = (CuratedTable::ALL.len(), run.parts.row_groups());
            assert_eq!(
                groups > tables,
                memory_mib == 100,
                "{groups} row groups in {memory_mib} MiB: one for each slice"
            );
            assert_eq!(run.parts.names().count(), tables, "slices share a part");
            let other = lake.run(curation, Setting { shards: 1, threads: 1, memory_mib });
            assert_eq!(run.parts.different_part(&other.parts), None, "threads decide where slices end");
        }
    }
}

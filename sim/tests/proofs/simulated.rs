//! Distributed runs in which much goes wrong, on real data: the tables are the oracle's, and the parts those of a quiet
//! run in one process; in slices, they have the rows of the oracle, in as few parts.

use std::collections::BTreeMap;

use stedi::generate::{GenerateConfig, Profile};
use stedi_lake::CuratedTable;
use stedi_sim::engine::{Lake, Setting};
use stedi_sim::simulated::{Mishaps, simulate};
use stedi_sim::{Curation, Oracle, generated};
use stedi_worker::memory::SLICE_BYTES_MAX;

/// Seeds for each profile of landing; `SEEDS=n` asks for others.
const SEEDS: u64 = 8;

#[test]
fn whatever_goes_wrong_the_tables_are_those_of_the_oracle() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut mishaps = Mishaps::new();
    let mut row_groups = (0, 0);
    for profile in Profile::ALL {
        let config = GenerateConfig { customers: 30, seed: 5, ..GenerateConfig::new(profile) };
        let mut expected = BTreeMap::new();
        for seed in 0..seeds {
            let lake = Lake::new();
            let (landing, _) = generated::land(&config, lake.path()).expect("landing is written");
            let n = usize::try_from(seed % 8).expect("it is small");
            let curation = Curation::all().nth(n).expect("there are eight");
            let shards = [1, 3, 7, 2][n % 4];
            let slice_bytes = [SLICE_BYTES_MAX, 100, 20_000][n % 3];
            for (name, count) in simulate(lake.path(), curation, shards, slice_bytes, seed) {
                *mishaps.entry(name).or_default() += count;
            }
            let run = lake.current();
            let tables = expected.entry(n).or_insert_with(|| Oracle::new().curate(&landing, curation));
            if let Some(difference) = run.difference(tables, &landing) {
                panic!("{profile} under {curation:?} with {shards} shards of {slice_bytes}, seed {seed}: {difference}");
            }
            let quiet = lake.run(curation, Setting { shards, threads: 2, memory_mib: 2048 });
            if slice_bytes < SLICE_BYTES_MAX {
                row_groups.0 += quiet.parts.row_groups();
                row_groups.1 += run.parts.row_groups();
                assert!(run.parts.names().eq(quiet.parts.names()), "slices share a part");
            } else if let Some(path) = quiet.parts.different_part(&run.parts) {
                panic!("{path} differs from that of a quiet run: {profile} {curation:?} {shards} shards, seed {seed}");
            }
        }
    }
    println!("{mishaps:?}, {row_groups:?} row groups without and with slices");
    assert!(row_groups.1 > 4 * row_groups.0, "slices are row groups: {row_groups:?}");
    assert!(seeds < SEEDS || mishaps.len() == 7, "not everything went wrong: {mishaps:?}");
}

/// More users and serials than one cut has slices, so that slices are cut again.
#[test]
fn slices_of_slices() {
    let config = GenerateConfig { customers: 250, seed: 5, ..GenerateConfig::new(Profile::Clean) };
    for (seed, curation) in (0..).zip(Curation::all().filter(|curation| !curation.dedupe)) {
        let lake = Lake::new();
        let (landing, _) = generated::land(&config, lake.path()).expect("landing is written");
        let expected = Oracle::new().curate(&landing, curation);
        simulate(lake.path(), curation, 1, 100, seed);
        let run = lake.current();
        if let Some(difference) = run.difference(&expected, &landing) {
            panic!("{curation:?}: {difference}");
        }
        assert_eq!(run.parts.names().count(), CuratedTable::ALL.len(), "slices share a part");
    }
}

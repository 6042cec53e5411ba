//! Distributed runs in which much goes wrong, on real data: the tables are the oracle's, and the parts those of a quiet
//! run in one process.

use std::collections::BTreeMap;

use stedi::generate::{GenerateConfig, Profile};
use stedi_sim::engine::{Lake, Setting};
use stedi_sim::simulated::{Mishaps, simulate};
use stedi_sim::{Curation, Oracle, generated};

/// Seeds for each profile of landing; `SEEDS=n` asks for others.
const SEEDS: u64 = 8;

#[test]
fn whatever_goes_wrong_the_tables_are_those_of_the_oracle() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut mishaps = Mishaps::new();
    for profile in Profile::ALL {
        let config = GenerateConfig { customers: 30, seed: 5, ..GenerateConfig::new(profile) };
        let mut expected = BTreeMap::new();
        for seed in 0..seeds {
            let lake = Lake::new();
            let (landing, _) = generated::land(&config, lake.path()).expect("landing is written");
            let n = usize::try_from(seed % 8).expect("it is small");
            let curation = Curation::all().nth(n).expect("there are eight");
            let shards = [1, 3, 7][n % 3];
            for (name, count) in simulate(lake.path(), curation, shards, seed) {
                *mishaps.entry(name).or_default() += count;
            }
            let run = lake.current();
            let tables = expected.entry(n).or_insert_with(|| Oracle::new().curate(&landing, curation));
            if let Some(difference) = run.difference(tables, &landing) {
                panic!("{profile} under {curation:?} with {shards} shards, seed {seed}: {difference}");
            }
            let quiet = lake.run(curation, Setting { shards, threads: 2, memory_mib: 2048 });
            if let Some(path) = quiet.parts.different_part(&run.parts) {
                panic!("{path} differs from that of a quiet run: {profile} {curation:?} {shards} shards, seed {seed}");
            }
        }
    }
    println!("{mishaps:?}");
    assert!(seeds < SEEDS || mishaps.len() == 7, "not everything went wrong: {mishaps:?}");
}

//! Landing made to be hard: ties, duplicates, shared serial numbers and equal times everywhere.

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use stedi_sim::engine::{Lake, Setting};
use stedi_sim::{Curation, Landing, Oracle, arbitrary};

/// How many cases to try: `STEDI_CASES`, or a number that takes seconds.
fn cases() -> u32 {
    std::env::var("STEDI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96)
}

/// Where to start: `STEDI_SEED`, or always the same.
fn seed() -> u64 {
    std::env::var("STEDI_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(2022)
}

fn setting() -> impl Strategy<Value = Setting> {
    (select(vec![1, 2, 3, 7, 16]), select(vec![1, 2, 4]), select(vec![64, 128, 2048]))
        .prop_map(|(shards, threads, memory_mib)| Setting { shards, threads, memory_mib })
}

fn landing() -> impl Strategy<Value = Landing> {
    prop_oneof![3 => arbitrary::landing(24), 2 => arbitrary::landing(160)]
}

#[test]
fn every_table_is_the_oracles() {
    let oracle = Oracle::new();
    let config = Config {
        cases: cases(),
        rng_seed: RngSeed::Fixed(seed()),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let curations: Vec<Curation> = Curation::all().collect();
    let strategy = (landing(), select(curations), setting(), 1..4_usize, any::<bool>());
    let outcome = TestRunner::new(config).run(&strategy, |(landing, curation, setting, objects, again)| {
        let lake = Lake::new();
        landing.write_json(lake.path(), objects)?;
        let run = lake.run(curation, setting);
        if let Some(difference) = run.difference(&oracle.curate(&landing, curation), &landing) {
            return Err(TestCaseError::fail(difference));
        }
        if again {
            let other = Setting { threads: 3, memory_mib: 96, ..setting };
            let parts = lake.run(curation, other).parts;
            if let Some(path) = run.parts.different_part(&parts) {
                return Err(TestCaseError::fail(format!("{path} differs between {setting:?} and {other:?}")));
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

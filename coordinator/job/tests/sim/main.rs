//! Simulations of whole runs with everything that goes wrong in a cluster, each decided by a seed.
//!
//! `SEED=n cargo test -p stedi-job --test sim one_seed -- --nocapture` shows what happens in one.

#![expect(clippy::cast_possible_truncation, reason = "numbers of a simulation are small")]

mod check;
mod faults;
mod lake;
mod machine;
mod rng;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use stedi_job::event::EndReason;

use world::{Outcome, simulate};

/// Seeds of `cargo test`; `SEEDS=n` asks for others.
const SEEDS: u64 = 1_500;

/// Names the seed of a simulation that panics.
struct Seed(u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "the way to see it again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with SEED={}", self.0);
        }
    }
}

fn checked(seed: u64) -> Outcome {
    let _named = Seed(seed);
    simulate(seed, None)
}

#[test]
fn a_seed_decides_everything() {
    let traced = |seed| {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&lines);
        let end = simulate(seed, Some(Box::new(move |line| sink.borrow_mut().push(line)))).end;
        (lines.take(), end)
    };
    for seed in 0..40 {
        let ((once, end), (twice, end_again)) = (traced(seed), traced(seed));
        let differs = once.iter().zip(&twice).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((once.len(), end), (twice.len(), end_again), "seed {seed}");
    }
}

#[test]
fn every_run_ends_and_what_it_commits_is_right() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let (mut resumed, mut speculative, mut replaced, mut virtual_ms) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let outcome = checked(seed);
        let name = match &outcome.end {
            EndReason::Failed(error) => format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
            end => format!("{end:?}"),
        };
        *ends.entry(name).or_default() += 1;
        resumed += u64::from(outcome.coordinators > 1);
        replaced += u64::from(outcome.machines > 5);
        speculative += u64::from(outcome.speculative > 0);
        virtual_ms += outcome.virtual_ms;
    }
    println!("{ends:?}; {resumed} resumed, {speculative} speculated, {replaced} replaced workers, {virtual_ms} ms");
    // the faults must be there, and must not be all there is
    assert!(ends["Committed { seq: 1 }"] * 10 > seeds * 8, "{ends:?}");
    assert!(resumed * 10 > seeds && speculative * 50 > seeds && replaced * 20 > seeds);
    assert!(seeds < SEEDS || ends.len() >= 6, "{ends:?}");
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) else { return };
    let outcome = simulate(seed, Some(Box::new(|line| println!("{line}"))));
    println!("{:?} after {} ms, with {:?}", outcome.end, outcome.virtual_ms, outcome.faults);
}

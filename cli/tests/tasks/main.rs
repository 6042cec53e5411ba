//! Tasks executed one by one, by workers that share nothing but the lake, make what an embedded run makes.

mod cluster;
mod failures;

use cluster::{Scene, Shape};
use stedi::generate::{GenerateConfig, Profile};
use stedi_lake::{ConsentPolicy, MatchMode};

/// One task a stage, by one worker.
const ONE: Shape = Shape { split_bytes: u64::MAX, splits_a_task: usize::MAX, workers: 1, slots: 1, attempts: 1 };

/// Tasks of a few small splits, each attempted twice at once by different workers.
const MANY: Shape = Shape { split_bytes: 6 << 10, splits_a_task: 3, workers: 2, slots: 3, attempts: 2 };

fn every_mode(config: &GenerateConfig) {
    let mut scene = Scene::generated(config);
    for consent in [ConsentPolicy::Latest, ConsentPolicy::Any] {
        for match_mode in [MatchMode::Customer, MatchMode::Timestamp] {
            for (shards, dedupe) in [(1, true), (7, false)] {
                scene.run_embedded(consent, match_mode, shards, dedupe);
                for shape in [ONE, MANY] {
                    scene.assert_same(&shape, &format!("{consent} {match_mode} {shards} {shape:?}"));
                }
            }
        }
    }
}

#[test]
fn clean_landing_gives_the_same_parts() {
    every_mode(&GenerateConfig { customers: 40, ..GenerateConfig::new(Profile::Clean) });
}

#[test]
fn legacy_landing_gives_the_same_parts() {
    every_mode(&GenerateConfig { customers: 60, ..GenerateConfig::new(Profile::Legacy) });
}

#[test]
fn messy_landing_gives_the_same_parts() {
    every_mode(&GenerateConfig { customers: 60, seed: 3, ..GenerateConfig::new(Profile::Messy) });
}

#[test]
fn shards_larger_than_the_slice_budget_give_the_same_parts() {
    let config = GenerateConfig { customers: 1500, days: 4, ..GenerateConfig::new(Profile::Clean) };
    let mut scene = Scene::generated(&config);
    for match_mode in [MatchMode::Customer, MatchMode::Timestamp] {
        scene.run_embedded_in_little_memory(match_mode);
        let shape = Shape { split_bytes: 4 << 20, splits_a_task: 2, ..MANY };
        scene.assert_same(&shape, &format!("{match_mode} in slices"));
        assert!(
            scene.embedded_row_groups() > 5,
            "each slice of a table is a row group: {}",
            scene.embedded_row_groups()
        );
    }
}

#[test]
fn a_lake_in_s3_gives_the_same_parts() {
    let mut scene =
        Scene::generated_in_s3(&GenerateConfig { customers: 60, seed: 3, ..GenerateConfig::new(Profile::Messy) });
    for match_mode in [MatchMode::Customer, MatchMode::Timestamp] {
        scene.run_embedded(ConsentPolicy::Latest, match_mode, 7, false);
        for shape in [ONE, MANY] {
            scene.assert_same(&shape, &format!("S3 {match_mode} {shape:?}"));
        }
    }
    assert_eq!(scene.server().unfinished_uploads(), [] as [String; 0]);
}

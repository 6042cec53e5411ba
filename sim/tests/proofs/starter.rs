//! The public starter data gives the counts that are known of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use stedi_lake::{ConsentPolicy, CuratedTable, Customer, LandingTable, MatchMode};
use stedi_sim::engine::{Lake, Setting, copy_landing};
use stedi_sim::landing::{AccelerometerReading, StepReading};
use stedi_sim::{Curation, Landing, Oracle};

const MATCHED: [(MatchMode, usize); 2] = [(MatchMode::Customer, 40_981), (MatchMode::Timestamp, 43_681)];

/// Where the starter data is; says so if it is not there.
fn starter_landing() -> Option<PathBuf> {
    let landing = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/landing");
    if !landing.exists() {
        println!("skipped: the starter data is not at {}", landing.display());
        return None;
    }
    Some(landing)
}

#[test]
fn the_oracle_gives_the_counts_known_of_the_starter_data() {
    let Some(folder) = starter_landing() else { return };
    let landing = read(&folder);
    assert_eq!(LandingTable::ALL.map(|table| landing.rows(table)), [956, 81_273, 28_680]);
    for (match_mode, matched) in MATCHED {
        for consent in [ConsentPolicy::Latest, ConsentPolicy::Any] {
            let curation = Curation { consent, match_mode, dedupe: false };
            let tables = Oracle::new().curate(&landing, curation);
            let rows = CuratedTable::ALL.map(|table| tables.rows[&table].len());
            assert_eq!(rows, [482, 40_981, 482, 14_460, matched], "tables under {curation:?}");
        }
    }
}

/// Reads the starter data with a general JSON library.
fn read(folder: &Path) -> Landing {
    let text = |record: &Value, key: &str| record[key].as_str().map(Box::from);
    let customers = records(folder, LandingTable::Customer);
    let customers = customers.iter().map(|r| Customer {
        customer_name: text(r, "customerName"),
        email: text(r, "email").expect("every customer has one"),
        phone: text(r, "phone"),
        birth_day: text(r, "birthDay"),
        serial_number: text(r, "serialNumber").expect("every customer has one"),
        registration_date: r["registrationDate"].as_i64(),
        last_update_date: r["lastUpdateDate"].as_i64(),
        share_with_research_as_of_date: r["shareWithResearchAsOfDate"].as_i64(),
        share_with_public_as_of_date: r["shareWithPublicAsOfDate"].as_i64(),
        share_with_friends_as_of_date: r["shareWithFriendsAsOfDate"].as_i64(),
    });
    let accelerometer = records(folder, LandingTable::Accelerometer);
    let accelerometer = accelerometer.iter().map(|r| AccelerometerReading {
        user: text(r, "user").expect("every reading has one").into(),
        timestamp: r["timestamp"].as_i64().expect("every reading has one"),
        xyz: ["x", "y", "z"].map(|axis| r[axis].as_f64()),
    });
    let step_trainer = records(folder, LandingTable::StepTrainer);
    let step_trainer = step_trainer.iter().map(|r| StepReading {
        sensor_reading_time: r["sensorReadingTime"].as_i64().expect("every reading has one"),
        serial_number: text(r, "serialNumber").expect("every reading has one").into(),
        distance: r["distanceFromObject"].as_i64(),
    });
    Landing {
        customers: customers.collect(),
        accelerometer: accelerometer.collect(),
        step_trainer: step_trainer.collect(),
    }
}

fn records(folder: &Path, table: LandingTable) -> Vec<Value> {
    let folder = folder.join(table.path());
    let files = fs::read_dir(folder).expect("the folder of a table").map(|entry| entry.expect("a file").path());
    let text = files.map(|file| fs::read_to_string(file).expect("a landing object reads") + "\n").collect::<String>();
    text.lines().filter_map(|line| serde_json::from_str(line.trim_end_matches(',')).ok()).collect()
}

#[test]
fn the_starter_data_gives_its_known_counts() {
    let Some(landing) = starter_landing() else { return };
    let lake = Lake::new();
    copy_landing(&landing, lake.path());
    for (match_mode, matched) in MATCHED {
        for consent in [ConsentPolicy::Latest, ConsentPolicy::Any] {
            let curation = Curation { consent, match_mode, dedupe: false };
            let run = lake.run(curation, Setting { shards: 5, threads: 2, memory_mib: 128 });
            let landed = LandingTable::ALL.map(|table| run.commit.landing[&table].rows);
            assert_eq!(landed, [956, 81_273, 28_680], "landing under {curation:?}");
            assert!(run.commit.landing.values().all(|counts| counts.quarantined == 0), "nothing is quarantined");
            let rows = CuratedTable::ALL.map(|table| run.tables[&table].len());
            assert_eq!(rows, [482, 40_981, 482, 14_460, matched], "tables under {curation:?}");
        }
    }
}

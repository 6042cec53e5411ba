//! The oracle gives what people worked out by hand: what the engine is compared with must itself be right.

use stedi_lake::CuratedTable;
use stedi_sim::{Oracle, golden};

pub(crate) const CASES: [&str; 2] = [include_str!("golden/consent.txt"), include_str!("golden/tables.txt")];

#[test]
fn the_oracle_gives_the_tables_worked_out_by_hand() {
    let oracle = Oracle::new();
    let mut compared = 0;
    for case in CASES.into_iter().flat_map(golden::parse) {
        for expectation in &case.expectations {
            for &curation in &expectation.curations {
                let tables = oracle.curate(&case.landing, curation);
                for table in CuratedTable::ALL {
                    if let Some(difference) = tables.rows[&table].difference(&expectation.tables[&table]) {
                        panic!("case {} under {curation:?}: {difference}", case.name);
                    }
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "only {compared} comparisons: were the cases parsed?");
}

#[test]
fn a_difference_counts_duplicates_and_shows_the_rows() {
    let case = golden::parse(CASES[1]).into_iter().find(|case| case.name.contains("delivered twice"));
    let [all, dedupe] = case.expect("the case is there").expectations.try_into().expect("it has two expectations");
    let (all, dedupe) =
        (&all.tables[&CuratedTable::StepTrainerTrusted], &dedupe.tables[&CuratedTable::StepTrainerTrusted]);
    assert!(all.difference(all).is_none());
    let difference = all.difference(dedupe).expect("one row is there twice");
    assert!(difference.contains("0 missing") && difference.contains("1 too many"), "{difference}");
    assert!(difference.contains("sensorreadingtime") && difference.contains("s1"), "{difference}");
    assert!(dedupe.difference(all).expect("one row is missing").contains("1 missing"));
}

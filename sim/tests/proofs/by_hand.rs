//! The engine on the cases worked out by hand.

use stedi_lake::CuratedTable;
use stedi_sim::engine::{Lake, Setting};
use stedi_sim::golden;

use crate::oracle::CASES;

#[test]
fn the_engine_gives_the_tables_worked_out_by_hand() {
    for case in CASES.into_iter().flat_map(golden::parse).filter(|case| !case.landing.customers.is_empty()) {
        let lake = Lake::new();
        case.landing.write_json(lake.path(), 2).expect("landing is written");
        for expectation in &case.expectations {
            for &curation in &expectation.curations {
                let tables = lake.run(curation, Setting { shards: 3, threads: 2, memory_mib: 128 }).tables;
                for table in CuratedTable::ALL {
                    if let Some(difference) = tables[&table].difference(&expectation.tables[&table]) {
                        panic!("case {} under {curation:?}: {difference}", case.name);
                    }
                }
            }
        }
    }
}

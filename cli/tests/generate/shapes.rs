//! Objects hold what the model says, in every shape, when an independent reader reads them.

use std::collections::{BTreeMap, BTreeSet};

use stedi::generate::{Canonical, Fault, GenerateConfig, ManifestObject, ObjectSpec, Profile, object, plan, records};
use stedi_lake::LandingTable;

use crate::{reader, small};

fn check(config: &GenerateConfig, spec: &ObjectSpec) -> ManifestObject {
    let made = object(config, spec);
    let entry = ManifestObject::new(spec, &made);
    let mut expected = Canonical::default();
    records(config, spec, &mut |record| expected.push(record));
    if spec.shape.skipped() {
        assert_eq!((entry.rows, expected), (0, Canonical::default()));
        return entry;
    }
    let read = if spec.shape.lines() { reader::read_lines } else { reader::read_stream };
    let read = read(spec.table, &reader::unpack(&made.bytes));
    let of = format!("{} ({})", spec.path, spec.shape.name);
    assert_eq!(read.good.customers, expected.customers, "{of}");
    assert_eq!(read.good.step_trainer, expected.step_trainer, "{of}");
    assert_eq!(read.good.accelerometer.len(), expected.accelerometer.len(), "{of}");
    for (read, expected) in read.good.accelerometer.iter().zip(&expected.accelerometer) {
        assert!(reader::same(read, expected), "{of}: {read:?} is not {expected:?}");
    }
    assert_eq!(read.bad, made.bad.values().sum::<u64>(), "{of}: {:?}", made.bad);
    let rows = expected.customers.len() + expected.accelerometer.len() + expected.step_trainer.len();
    assert_eq!(made.rows, rows as u64, "{of}");
    entry
}

#[test]
fn objects_hold_the_records_of_the_model() {
    for (profile, customers) in [(Profile::Clean, 300), (Profile::Legacy, 200), (Profile::Messy, 300)] {
        let config = small(profile, customers);
        for spec in plan(&config) {
            let entry = check(&config, &spec);
            assert!(profile == Profile::Messy || entry.bad.is_empty());
        }
    }
}

#[test]
fn messy_has_every_shape_and_every_fault_in_every_table() {
    let config = small(Profile::Messy, 300);
    let mut shapes = BTreeMap::<LandingTable, BTreeSet<String>>::new();
    let mut faults = BTreeMap::<LandingTable, BTreeSet<Fault>>::new();
    for spec in plan(&config) {
        let entry = ManifestObject::new(&spec, &object(&config, &spec));
        shapes.entry(spec.table).or_default().insert(entry.shape);
        faults.entry(spec.table).or_default().extend(entry.bad.keys());
    }
    for table in LandingTable::ALL {
        assert_eq!(shapes[&table].len(), 40, "{}", table.name());
        assert_eq!(faults[&table].len(), 5, "{}: {:?}", table.name(), faults[&table]);
    }
}

#[test]
fn a_tiny_messy_landing_is_whole_too() {
    for customers in 1..4 {
        let config = small(Profile::Messy, customers);
        for spec in plan(&config) {
            check(&config, &spec);
        }
    }
}

#[test]
fn the_oversized_record_is_one_bad_record() {
    let config = GenerateConfig { oversized_record: true, ..small(Profile::Messy, 5) };
    let specs = plan(&config);
    let oversized: Vec<_> = specs.iter().filter(|spec| spec.path.ends_with("too-long.json")).collect();
    assert_eq!(oversized.len(), 1);
    let entry = check(&config, oversized[0]);
    assert!(entry.rows > 0 && entry.bytes > 16 << 20);
    assert_eq!(entry.bad, BTreeMap::from([(Fault::TooLong, 1)]));
}

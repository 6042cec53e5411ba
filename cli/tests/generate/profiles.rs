//! What the profiles promise about their data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stedi::generate::{GenerateConfig, Profile, canonical, object, plan};
use stedi_lake::LandingTable;
use stedi_lake::consent::consents;

use crate::small;

/// The line with every value replaced by its kind: keys, their order and all spacing remain.
fn skeleton(line: &str) -> String {
    let mut out = String::new();
    let mut in_value = false;
    for part in line.split_inclusive([':', ',', '}']) {
        let (text, end) = part.split_at(part.len() - 1);
        match (in_value, text.trim().starts_with('"')) {
            (true, true) => out.push('s'),
            (true, false) => out.push(if text.contains('.') { 'd' } else { 'i' }),
            (false, _) => out.push_str(text),
        }
        if in_value && text.starts_with(' ') {
            out.push('_');
        }
        out.push_str(end);
        in_value = end == ":";
    }
    out
}

#[test]
fn clean_looks_like_the_starter_data() {
    let starter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/landing");
    if !starter.is_dir() {
        println!("skipped: no starter data at <workspace>/../shared/landing");
        return;
    }
    let config = GenerateConfig::default();
    for table in LandingTable::ALL {
        let folder = starter.join(table.path());
        let first = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        let theirs: BTreeSet<_> = std::fs::read_to_string(first.path()).unwrap().lines().map(skeleton).collect();
        for spec in plan(&config).iter().filter(|spec| spec.table == table) {
            let bytes = object(&config, spec).bytes;
            let ours: BTreeSet<_> = std::str::from_utf8(&bytes).unwrap().lines().map(skeleton).collect();
            assert!(ours.is_subset(&theirs), "{}: {:?}", spec.path, ours.difference(&theirs).next());
        }
    }
}

#[test]
fn clean_has_the_volume_it_promises() {
    let config = GenerateConfig { customers: 2_000, days: 2, ..GenerateConfig::default() };
    let all = canonical(&config);
    assert_eq!(all.customers.len(), 2_000);
    assert_eq!(all.step_trainer.len(), 2_000 * 2 * 30);
    let per_day = all.accelerometer.len() / 4_000;
    assert!((82..=84).contains(&per_day), "{per_day} accelerometer readings for each customer and day");
    let runs = all.accelerometer.chunk_by(|a, b| a.user == b.user && a.timestamp_ms >= b.timestamp_ms).count();
    let run = all.accelerometer.len() / runs;
    assert!((9..=11).contains(&run), "{run} readings of one user, newest first, in a row");
}

#[test]
fn every_filter_has_work_in_clean() {
    let all = canonical(&GenerateConfig::default());
    let emails: BTreeSet<_> = all.customers.iter().map(|c| &c.email).collect();
    let owners: BTreeMap<_, _> = all.customers.iter().map(|c| (&c.serial_number, &c.email)).collect();
    assert_eq!((emails.len(), owners.len()), (1_000, 1_000));
    let consenting: BTreeSet<_> = all.customers.iter().filter(|c| consents(c)).map(|c| &c.email).collect();
    assert!((450..550).contains(&consenting.len()), "{} consent", consenting.len());
    let heard: BTreeSet<_> = all.accelerometer.iter().map(|row| &row.user).collect();
    let silent = consenting.difference(&heard).count();
    assert!((1..15).contains(&silent), "{silent} consenting customers without readings");
    let strange = all.accelerometer.iter().filter(|row| !emails.contains(&row.user)).count();
    assert!((200..800).contains(&strange), "{strange} readings of unknown users");
    let strange = all.step_trainer.iter().filter(|row| !owners.contains_key(&row.serial_number)).count();
    assert!((75..300).contains(&strange), "{strange} readings of unknown serial numbers");
}

#[test]
fn accelerometer_readings_have_the_time_of_a_step_reading_of_their_user() {
    let all = canonical(&small(Profile::Clean, 300));
    let owners: BTreeMap<_, _> = all.customers.iter().map(|c| (&c.serial_number, &c.email)).collect();
    let steps: BTreeSet<_> = all
        .step_trainer
        .iter()
        .filter_map(|row| Some((owners.get(&row.serial_number)?, row.reading_time_ms)))
        .collect();
    let mut at_step = BTreeMap::new();
    for row in all.accelerometer.iter().filter(|row| steps.contains(&(&&row.user, row.timestamp_ms))) {
        *at_step.entry((&row.user, row.timestamp_ms)).or_insert(0) += 1;
    }
    let counts: BTreeSet<_> = at_step.values().copied().collect();
    assert!(counts.contains(&1) && counts.contains(&6), "{counts:?}");
    let matched: usize = at_step.values().sum();
    assert!(matched * 100 > all.accelerometer.len() * 97, "{matched} of {}", all.accelerometer.len());
}

#[test]
fn legacy_is_what_the_older_data_is() {
    let config = GenerateConfig::new(Profile::Legacy);
    let all = canonical(&config);
    let mut by_email: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in &all.customers {
        by_email.entry(&record.email).or_default().push(record);
    }
    let serials: BTreeSet<_> = all.customers.iter().map(|c| &c.serial_number).collect();
    assert_eq!((serials.len(), by_email.len()), (30, 609));
    let both = by_email.values().filter(|r| r.iter().any(|c| consents(c)) && r.iter().any(|c| !consents(c))).count();
    assert!(both >= 153, "{both} e-mails with and without consent");
    let kinds = |of: fn(&[&stedi_lake::Customer]) -> bool| by_email.values().filter(|records| of(records)).count();
    assert!(kinds(|r| r.iter().all(|c| consents(c))) > 100);
    assert!(kinds(|r| !r.iter().any(|c| consents(c))) > 100);
    assert!(kinds(|r| r.iter().any(|c| c.serial_number != r[0].serial_number)) > 50, "several serial numbers");
    assert!(kinds(|r| r.iter().any(|c| c.last_update_date.is_none())) > 50, "missing lastUpdateDate");
    assert!(kinds(|r| !(3..=20).contains(&r.len())) == 0, "3 to 10 versions, some twice");
    let tie = |a: &stedi_lake::Customer, b: &stedi_lake::Customer| a.last_update_date == b.last_update_date && a != b;
    let ties = by_email.values().filter(|r| r.iter().any(|a| r.iter().any(|b| tie(a, b)))).count();
    let twice = by_email.values().filter(|r| (1..r.len()).any(|i| r[..i].contains(&r[i]))).count();
    assert!(ties > 50 && twice > 50, "{ties} ties, {twice} duplicates");
    let zero = all.customers.iter().filter(|c| c.share_with_research_as_of_date == Some(0)).count();
    assert!(zero > 50, "{zero} consent dates of 0");
    let readings: BTreeSet<_> =
        all.step_trainer.iter().map(|r| (&r.serial_number, r.reading_time_ms, r.distance)).collect();
    let again = all.step_trainer.len() - readings.len();
    assert!(again > 100, "{again} duplicated step readings");
}

#[test]
fn legacy_objects_are_of_the_older_kind() {
    let config = GenerateConfig::new(Profile::Legacy);
    let specs = plan(&config);
    for table in LandingTable::ALL {
        let specs: Vec<_> = specs.iter().filter(|spec| spec.table == table).collect();
        let objects: Vec<_> = specs.iter().map(|spec| object(&config, spec).bytes).collect();
        assert!(specs.len() > 5);
        assert!(objects.iter().any(|o| o.starts_with(b"\x1f\x8b")), "no gzip");
        assert!(objects.iter().any(|o| o.ends_with(b"},\n")), "no trailing commas");
        let old_key = objects.iter().any(|o| o.windows(12).any(|w| w == b"\"timeStamp\":"));
        assert_eq!(old_key, table == LandingTable::Accelerometer);
    }
}

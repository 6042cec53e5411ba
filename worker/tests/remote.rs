//! Landing in a store elsewhere: objects arrive as streams, opened while others are decoded.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use stedi_lake::{ConsentPolicy, LandingTable, RunId};
use stedi_store::{Lake, LandingObject};
use stedi_worker::memory::Budget;
use stedi_worker::progress::Progress;
use stedi_worker::quarantine::QuarantineStore;
use stedi_worker::read::{LandingReader, ReadError};
use stedi_worker::scan::{Scan, ScanPlan};
use stedi_worker::{WorkError, customers};
use tokio::runtime::Runtime;

fn land(runtime: &Runtime, store: &Arc<dyn ObjectStore>, name: &str, text: &str) -> LandingObject {
    let path = Path::from(name);
    let put = runtime.block_on(store.put(&path, text.to_owned().into())).expect("memory takes it");
    LandingObject {
        table: LandingTable::Customer,
        key: name.to_owned(),
        etag: put.e_tag.expect("memory has etags"),
        bytes: text.len() as u64,
        store: Arc::clone(store),
        path,
    }
}

/// Customers of `object`, of whom every third consents, and a line that is none.
fn customer_lines(object: usize, customers: usize) -> String {
    let mut text = String::new();
    for c in 0..customers {
        let research = if c % 3 == 0 { r#","shareWithResearchAsOfDate":1"# } else { "" };
        text += &format!("{{\"email\":\"{object}-{c}@example.com\",\"serialNumber\":\"s{c}\"{research}}}\n");
    }
    text + "not a customer\n"
}

#[test]
fn many_small_and_some_large_objects_are_read_once_each() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = Lake::create(&folder.path().display().to_string()).expect("a folder");
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let sizes: Vec<usize> = (0..60)
        .map(|i| {
            if i == 7 {
                300_000
            } else if i % 20 == 3 {
                20_000
            } else {
                i % 9
            }
        })
        .collect();
    let mut objects: Vec<LandingObject> = sizes
        .iter()
        .enumerate()
        .map(|(i, &customers)| land(&runtime, &store, &format!("{i:02}.json"), &customer_lines(i, customers)))
        .collect();
    for threads in [1, 3] {
        let reader = LandingReader::new(runtime.handle().clone());
        let progress = Progress::default();
        let read = |objects: &[LandingObject], run: u128| {
            let plan = ScanPlan::of_objects(objects, &reader)?;
            let quarantine = QuarantineStore::new(&lake, RunId::new(threads as u64, run));
            let scan = Scan {
                table: LandingTable::Customer,
                objects,
                plan: &plan,
                reader: &reader,
                quarantine: &quarantine,
                progress: &progress,
                cancel: progress.cancel_flag(),
                threads,
            };
            customers::trusted(&scan, ConsentPolicy::Latest, &Budget::new(1 << 30, Some(1), false))
        };
        let (trusted, counts) = read(&objects, 1).expect("memory can be read");
        assert_eq!(trusted.len(), sizes.iter().map(|customers| customers.div_ceil(3)).sum::<usize>());
        for (counts, &customers) in counts.iter().zip(&sizes) {
            let consenting = customers.div_ceil(3) as u64;
            let wanted = (consenting, customers as u64 - consenting, 1);
            assert_eq!((counts.kept, counts.filtered, counts.quarantined), wanted);
        }
        let last = objects.pop().expect("there are many");
        let changed = LandingObject { etag: "another".to_owned(), ..last.clone() };
        objects.push(changed);
        let error = read(&objects, 2).expect_err("the last one is another version");
        assert!(matches!(&error, WorkError::Read(ReadError::Changed { key }) if *key == last.key), "{error}");
        objects.pop();
        objects.push(last);
    }
}

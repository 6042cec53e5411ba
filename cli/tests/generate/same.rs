//! The same configuration gives the same bytes, and the I/O around them adds nothing.

use std::hash::Hasher;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use stedi::generate::{
    GenerateConfig, GenerateError, MANIFEST_PATH, Manifest, ManifestObject, Profile, canonical, generate, object, plan,
};
use stedi_lake::LandingTable;
use twox_hash::XxHash64;

use crate::small;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// The hash of all objects that are not compressed: the bytes of those depend on another library too.
fn plain_hash(config: &GenerateConfig) -> u64 {
    let mut hash = XxHash64::with_seed(0);
    for spec in plan(config) {
        if !spec.shape.compressed() {
            hash.write(spec.path.as_bytes());
            hash.write(&object(config, &spec).bytes);
        }
    }
    hash.finish()
}

#[test]
fn the_bytes_never_change() {
    let hashes = Profile::ALL.map(|profile| plain_hash(&small(profile, 7)));
    assert_eq!(hashes, [11352953349965198702, 11417758885301883272, 13838273395645893502]);
}

#[test]
fn seeds_differ() {
    for profile in Profile::ALL {
        let config = small(profile, 7);
        let other = GenerateConfig { seed: 1, ..config.clone() };
        assert_ne!(plain_hash(&config), plain_hash(&other), "{profile}");
    }
}

#[test]
fn what_generate_puts_is_what_object_makes() {
    for profile in Profile::ALL {
        let config = small(profile, 20);
        let store = InMemory::new();
        let root = Path::from("some/lake");
        let report = block_on(generate(config.clone(), &store, &root)).unwrap();
        let specs = plan(&config);
        let mut entries = Vec::new();
        for spec in &specs {
            let made = object(&config, spec);
            let got = block_on(async { store.get(&Path::from(format!("{root}/{}", spec.path))).await?.bytes().await });
            assert!(got.unwrap() == made.bytes, "{profile}: {}", spec.path);
            entries.push(ManifestObject::new(spec, &made));
        }
        let manifest = Manifest::new(&config, entries);
        let put = block_on(async { store.get(&Path::from(format!("{root}/{MANIFEST_PATH}"))).await?.bytes().await });
        assert_eq!(serde_json::from_slice::<Manifest>(&put.unwrap()).unwrap(), manifest);
        assert_eq!(report, manifest.report());
        assert_eq!(report.objects, specs.len() as u64);
        let listed: Vec<_> = block_on(store.list(None).try_collect()).unwrap();
        assert_eq!(listed.len(), specs.len() + 1, "{profile}: two objects of one name");
    }
}

#[test]
fn the_manifest_counts_what_the_model_has() {
    for profile in Profile::ALL {
        let config = small(profile, 60);
        let entries = plan(&config).iter().map(|spec| ManifestObject::new(spec, &object(&config, spec))).collect();
        let tables = Manifest::new(&config, entries).tables;
        let all = canonical(&config);
        assert_eq!(tables[&LandingTable::Customer].rows, all.customers.len() as u64, "{profile}");
        assert_eq!(tables[&LandingTable::Accelerometer].rows, all.accelerometer.len() as u64, "{profile}");
        assert_eq!(tables[&LandingTable::StepTrainer].rows, all.step_trainer.len() as u64, "{profile}");
        assert!(!all.customers.is_empty() && !all.accelerometer.is_empty() && !all.step_trainer.is_empty());
    }
}

#[test]
fn a_lake_with_landing_is_refused() {
    for table in LandingTable::ALL {
        let store = InMemory::new();
        let there = Path::from(format!("lake/{}/2022/old.json", table.path()));
        block_on(store.put(&there, "{}".into())).unwrap();
        let refused = block_on(generate(small(Profile::Clean, 1), &store, &Path::from("lake"))).unwrap_err();
        assert!(matches!(refused, GenerateError::LandingNotEmpty { .. }));
        assert!(refused.to_string().contains(there.as_ref()), "{refused}");
        let listed: Vec<_> = block_on(store.list(None).try_collect()).unwrap();
        assert_eq!(listed.len(), 1, "nothing may be written");
    }
}

#[test]
fn numbers_that_make_no_landing_are_refused() {
    let none = small(Profile::Clean, 0);
    let never = GenerateConfig { days: 0, ..small(Profile::Clean, 1) };
    for config in [none, never] {
        let refused = block_on(generate(config, &InMemory::new(), &Path::default())).unwrap_err();
        assert!(matches!(refused, GenerateError::OutOfRange { value: 0, .. }), "{refused}");
    }
}

#[test]
fn a_local_folder_is_a_lake() {
    let folder = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let config = GenerateConfig::default();
    let report = block_on(generate(config.clone(), &store, &Path::default())).unwrap();
    assert!(report.bytes > 10_000_000 && folder.path().join(MANIFEST_PATH).is_file());
    let again = block_on(generate(config, &store, &Path::default())).unwrap_err();
    assert!(matches!(again, GenerateError::LandingNotEmpty { .. }), "{again}");
}

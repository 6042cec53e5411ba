//! The same configuration gives the same bytes, and the I/O around them adds nothing.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use stedi::generate::{
    GenerateConfig, GenerateError, MANIFEST_PATH, Manifest, ManifestObject, Profile, canonical, generate, object, plan,
};
use stedi_lake::LandingTable;
use stedi_store::Lake;
use tempfile::TempDir;
use twox_hash::XxHash64;

use crate::small;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn new_lake() -> (TempDir, Lake) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::create(&folder.path().display().to_string()).unwrap();
    (folder, lake)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
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
        let (folder, lake) = new_lake();
        let report = block_on(generate(config.clone(), &lake)).unwrap();
        let specs = plan(&config);
        let mut entries = Vec::new();
        for spec in &specs {
            let made = object(&config, spec);
            assert!(block_on(lake.read(&spec.path)).unwrap() == made.bytes, "{profile}: {}", spec.path);
            entries.push(ManifestObject::new(spec, &made));
        }
        let manifest = Manifest::new(&config, entries);
        let put = block_on(lake.read(MANIFEST_PATH)).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&put).unwrap(), manifest);
        assert_eq!(report, manifest.report());
        assert_eq!(report.objects, specs.len() as u64);
        let files = files(folder.path());
        assert_eq!(files.len(), specs.len() + 1, "{profile}: two objects of one name, or more than objects: {files:?}");
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
        let (folder, lake) = new_lake();
        let there = format!("{}/2022/old.json", table.path());
        block_on(lake.put_new(&there, "{}".into())).unwrap();
        let refused = block_on(generate(small(Profile::Clean, 1), &lake)).unwrap_err();
        assert!(matches!(refused, GenerateError::LandingNotEmpty { .. }));
        assert!(refused.to_string().contains(&there), "{refused}");
        assert_eq!(files(folder.path()).len(), 1, "nothing may be written");
    }
}

#[test]
fn numbers_that_make_no_landing_are_refused() {
    let none = small(Profile::Clean, 0);
    let never = GenerateConfig { days: 0, ..small(Profile::Clean, 1) };
    for config in [none, never] {
        let refused = block_on(generate(config, &new_lake().1)).unwrap_err();
        assert!(matches!(refused, GenerateError::OutOfRange { value: 0, .. }), "{refused}");
    }
}

#[test]
fn a_landing_of_many_megabytes_is_never_added_to() {
    let (folder, lake) = new_lake();
    let config = GenerateConfig::default();
    let report = block_on(generate(config.clone(), &lake)).unwrap();
    assert!(report.bytes > 10_000_000 && folder.path().join(MANIFEST_PATH).is_file());
    let again = block_on(generate(config, &lake)).unwrap_err();
    assert!(matches!(again, GenerateError::LandingNotEmpty { .. }), "{again}");
    for table in LandingTable::ALL {
        std::fs::remove_dir_all(folder.path().join(table.path())).unwrap();
    }
    let report = block_on(generate(small(Profile::Legacy, 1), &lake)).unwrap();
    let put: Manifest = serde_json::from_slice(&block_on(lake.read(MANIFEST_PATH)).unwrap()).unwrap();
    assert_eq!(put.report(), report, "the manifest is not of this landing");
}

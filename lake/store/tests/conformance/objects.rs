//! Opening, listing, creating, reading and deleting.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bytes::Bytes;
use object_store::GetOptions;
use stedi_lake::{CuratedTable, LandingTable, layout};
use stedi_store::{Lake, OpenError, PutNew, StoreError, probe};

use crate::{Scene, block_on, on_every_lake, race, run_id};

#[test]
fn a_lake_opens_by_path_and_by_file_uri() {
    let scene = Scene::new();
    scene.write("my lake/_stedi/x", "1");
    let path = scene.path("my lake");
    for uri in [format!("{}/", path.display()), format!("file://{}", path.display()), format!("{}/./", path.display())]
    {
        let lake = Lake::open(&uri).unwrap();
        assert_eq!(lake.uri(), path.to_str().unwrap(), "{uri}");
        assert_eq!(lake.location("a/b"), path.join("a/b").to_str().unwrap());
        assert_eq!(block_on(lake.read("_stedi/x")).unwrap(), "1");
    }
}

#[test]
fn what_is_not_a_lake_says_why() {
    let scene = Scene::new();
    scene.write("file", "");
    let open = |below: &str| Lake::open(scene.path(below).to_str().unwrap()).unwrap_err();
    assert!(matches!(open("missing"), OpenError::Missing(_)));
    assert!(matches!(open("file"), OpenError::NotAFolder(_)));
    assert!(matches!(open("file/below"), OpenError::NotAFolder(_)));
    assert!(matches!(Lake::create(scene.path("file").to_str().unwrap()), Err(OpenError::NotAFolder(_))));
    assert!(matches!(Lake::open("s3://"), Err(OpenError::UnknownScheme(_))));
    assert!(matches!(Lake::open("gs://bucket"), Err(OpenError::UnknownScheme(_))));
    assert!(matches!(Lake::open(""), Err(OpenError::UnknownScheme(_))));
    let error = open("missing").to_string();
    assert!(error.contains("missing") && error.contains("stedi generate"), "{error}");
}

#[test]
fn create_makes_the_folder_and_opens_one_that_is_there() {
    let scene = Scene::new();
    let uri = scene.path("a/b");
    let lake = Lake::create(uri.to_str().unwrap()).unwrap();
    assert_eq!(block_on(lake.put_new("x/y", Bytes::from_static(b"1"))).unwrap(), PutNew::Created);
    let again = Lake::create(uri.to_str().unwrap()).unwrap();
    assert_eq!(block_on(again.read("x/y")).unwrap(), "1");
}

#[test]
fn of_many_who_create_an_object_one_wins() {
    on_every_lake(|scene| {
        let path = layout::ledger_path(run_id(1));
        for round in 0..20 {
            let path = format!("{path}.{round}");
            let outcomes = race(8, |n| block_on(scene.lake.put_new(&path, Bytes::from(vec![n; 70_000]))).unwrap());
            let winners: Vec<_> =
                (0..).zip(&outcomes).filter(|(_, put)| **put == PutNew::Created).map(|(n, _)| n).collect();
            let [winner] = winners[..] else { panic!("round {round}: {winners:?} won") };
            assert_eq!(block_on(scene.lake.read(&path)).unwrap(), vec![winner; 70_000]);
        }
        assert!(scene.files().keys().all(|path| !path.contains("tmp")), "{:?}", scene.files());
    });
}

#[test]
fn landing_is_sorted_and_leaves_out_hidden_and_empty_objects() {
    on_every_lake(|scene| {
        for name in ["b.json", "a/z.json", "a.json", "2022/_SUCCESS", "_tmp/c.json", ".d.json", "e b+%20ä.json"] {
            scene.write(&format!("customer/landing/{name}"), "{}");
        }
        scene.write("customer/landing/empty.json", "");
        scene.write("customer/landing_of_others/x.json", "{}");
        scene.write("accelerometer/landing/x.json", "{}");
        let objects = block_on(scene.lake.landing(LandingTable::Customer)).unwrap();
        let keys: Vec<_> = objects.iter().map(|object| object.key.as_str()).collect();
        let wanted = ["a.json", "a/z.json", "b.json", "e b+%20ä.json"].map(|name| format!("customer/landing/{name}"));
        assert_eq!(keys, wanted);
        for object in objects {
            let found = block_on(object.store.get_opts(&object.path, Default::default())).unwrap();
            assert_eq!((object.table, object.bytes), (LandingTable::Customer, 2));
            assert_eq!(found.meta.e_tag.as_ref(), Some(&object.etag), "{}", object.key);
            assert_eq!(block_on(found.bytes()).unwrap(), "{}");
        }
        assert!(block_on(scene.lake.landing(LandingTable::StepTrainer)).unwrap().is_empty(), "no folder, no objects");
    });
}

#[test]
fn landing_elsewhere_has_whole_uris_for_keys() {
    let scene = Scene::new();
    scene.write("other/2022/a.json", "{}");
    let folder = scene.path("other");
    let lake = Lake::create(&scene.path("lake").display().to_string()).unwrap();
    for uri in [folder.display().to_string(), format!("file://{}", folder.display())] {
        let objects = block_on(lake.landing_elsewhere(&uri, LandingTable::Accelerometer)).unwrap();
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].key, format!("file://{}/2022/a.json", folder.display()));
    }
    let link = scene.path("link");
    symlink(&folder, &link).unwrap();
    let by_link = block_on(lake.landing_elsewhere(link.to_str().unwrap(), LandingTable::Accelerometer)).unwrap();
    assert_eq!(by_link[0].key, format!("file://{}/2022/a.json", folder.display()));
    let missing = format!("{}2", folder.display());
    let missing = block_on(lake.landing_elsewhere(&missing, LandingTable::Accelerometer));
    let error = missing.unwrap_err().to_string();
    assert!(error.contains("other2") && error.contains("accelerometer_landing"), "{error}");
    let file = folder.join("2022/a.json");
    assert!(block_on(lake.landing_elsewhere(file.to_str().unwrap(), LandingTable::Accelerometer)).is_err());
}

#[test]
fn what_a_listing_would_pass_over_in_silence_is_an_error() {
    let refused = |make: &dyn Fn(&Scene)| {
        let scene = Scene::new();
        scene.write("customer/landing/a.json", "{}");
        make(&scene);
        block_on(scene.lake.landing(LandingTable::Customer)).unwrap_err().to_string()
    };
    let error = refused(&|scene| scene.write("customer/landing/day/b.json#12", "{}"));
    assert!(error.contains("landing/day/b.json#12"), "{error}");
    let error = refused(&|scene| symlink("nowhere", scene.path("customer/landing/c.json")).unwrap());
    assert!(error.contains("landing/c.json"), "{error}");
    let error = refused(&|scene| symlink("..", scene.path("customer/landing/loop")).unwrap());
    assert!(error.contains("landing/loop"), "{error}");

    let scene = Scene::new();
    scene.write("elsewhere/b.json", "{}");
    scene.write("customer/landing/.b.json#12", "{}");
    symlink(scene.path("elsewhere"), scene.path("customer/landing/day")).unwrap();
    let objects = block_on(scene.lake.landing(LandingTable::Customer)).unwrap();
    assert_eq!(objects[0].key, "customer/landing/day/b.json", "links that lead somewhere are followed");
}

#[test]
fn a_folder_that_may_not_be_listed_is_named() {
    let scene = Scene::new();
    scene.write("step_trainer/landing/closed/a.json", "{}");
    let closed = scene.path("step_trainer/landing/closed");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let listed = block_on(scene.lake.landing(LandingTable::StepTrainer));
    let ignored = fs::read_dir(&closed).is_ok();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    if ignored {
        println!("skipped: this user may list any folder");
        return;
    }
    match listed {
        Err(StoreError::PermissionDenied { object, .. }) => assert_eq!(object, closed.to_str().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_part_is_there_whole_or_not_at_all() {
    on_every_lake(|scene| {
        let path = layout::part_path(CuratedTable::CustomersCurated, run_id(1), 0, 0);
        let folder = layout::table_run_dir(CuratedTable::CustomersCurated, run_id(1));
        let mut part = scene.lake.part_writer(&path).unwrap();
        part.write_all(&[7; 100_000]).unwrap();
        assert!(block_on(scene.lake.list(&folder)).unwrap().is_empty());
        assert_eq!(part.bytes(), 100_000);
        assert_eq!(part.finish().unwrap(), PutNew::Created);
        block_on(scene.lake.sync_all(vec![path.clone()])).unwrap();
        assert_eq!(scene.files(), [(path.clone(), 100_000)].into());

        let mut late = scene.lake.part_writer(&path).unwrap();
        late.write_all(b"late").unwrap();
        assert_eq!(late.finish().unwrap(), PutNew::Exists);
        let mut dropped =
            scene.lake.part_writer(&layout::part_path(CuratedTable::CustomersCurated, run_id(1), 1, 0)).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(scene.files(), [(path.clone(), 100_000)].into());
    });
}

#[test]
fn a_part_is_as_readable_as_any_file() {
    let scene = Scene::new();
    let path = layout::part_path(CuratedTable::CustomersCurated, run_id(1), 0, 0);
    assert_eq!(scene.lake.part_writer(&path).unwrap().finish().unwrap(), PutNew::Created);
    let mode = scene.path(&path).metadata().unwrap().permissions().mode();
    scene.write("plain", "");
    assert_eq!(mode, scene.path("plain").metadata().unwrap().permissions().mode());
}

#[test]
fn a_large_part_is_whole_too_and_of_many_one_wins() {
    on_every_lake(|scene| {
        let path = layout::part_path(CuratedTable::MachineLearningCurated, run_id(1), 0, 0);
        // not a multiple of anything
        let bytes = |n: u8| (0..20_000_003_u32).map(|i| i.to_le_bytes()[1] ^ n).collect::<Vec<_>>();
        let outcomes = race(3, |n| {
            let mut part = scene.lake.part_writer(&path).unwrap();
            for piece in bytes(n).chunks(1_000_000) {
                part.write_all(piece).unwrap();
            }
            part.finish().unwrap()
        });
        let winners: Vec<_> =
            (0..).zip(&outcomes).filter(|(_, put)| **put == PutNew::Created).map(|(n, _)| n).collect();
        let [winner] = winners[..] else { panic!("{winners:?} won") };
        assert!(block_on(scene.lake.read(&path)).unwrap() == bytes(winner), "other bytes");
        let range = block_on(scene.lake.read_range(&path, 8_388_600..17_000_001)).unwrap();
        assert!(range == bytes(winner)[8_388_600..17_000_001], "other bytes");
        assert!(block_on(scene.lake.read_range(&path, 20_000_000..20_000_004)).is_err(), "there are only 3");
        assert_eq!(scene.files(), [(path.clone(), 20_000_003)].into());

        let mut dropped = scene.lake.part_writer(&format!("{path}2")).unwrap();
        dropped.write_all(&bytes(0)).unwrap();
        drop(dropped);
        assert_eq!(scene.files().len(), 1, "nothing is left of a part that was given up");
    });
}

#[test]
fn a_cold_object_is_whole_and_never_written_over() {
    let check = |lake: &Lake| {
        // nothing, less than a page, and not a multiple of anything
        for bytes in [0, 1, 4_095, 20_000_003] {
            let path = format!("customer/landing/{bytes}.json");
            let cold: Bytes = (0..bytes).map(|i: u32| i.to_le_bytes()[1]).collect();
            assert_eq!(block_on(lake.put_cold(&path, cold.clone())).unwrap(), PutNew::Created);
            assert_eq!(block_on(lake.put_cold(&path, Bytes::from_static(b"other"))).unwrap(), PutNew::Exists);
            assert!(block_on(lake.read(&path)).unwrap() == cold, "other bytes than the {bytes} that were put");
        }
        assert_eq!(block_on(lake.list("")).unwrap().len(), 4, "only what was put");
    };
    on_every_lake(|scene| check(&scene.lake));

    // a file system that has nothing but the page cache
    let Ok(in_memory) = tempfile::tempdir_in("/dev/shm") else {
        println!("skipped: no file system in memory");
        return;
    };
    check(&Lake::open(in_memory.path().to_str().unwrap()).unwrap());
}

#[test]
fn a_landing_object_is_found_again_by_its_key() {
    on_every_lake(|scene| {
        let name = "2022/e b+%20ä{1}.json";
        scene.write(&format!("customer/landing/{name}"), "{\"a\": 1}");
        let listed = block_on(scene.lake.landing(LandingTable::Customer)).unwrap().remove(0);
        let folder = scene.lake.location("customer/landing");
        let whole = if scene.server.is_some() { folder } else { format!("file://{folder}") };
        for key in [listed.key.clone(), format!("{whole}/{name}")] {
            let found = scene.lake.landing_object(LandingTable::Customer, &key, &listed.etag, listed.bytes);
            let found = block_on(found).unwrap();
            assert_eq!((&found.key, &found.etag, found.bytes), (&key, &listed.etag, listed.bytes));
            let options = GetOptions { if_match: Some(listed.etag.clone()), ..GetOptions::default() };
            let read = block_on(async { found.store.get_opts(&found.path, options).await?.bytes().await });
            assert_eq!(read.unwrap(), "{\"a\": 1}", "{key}");
            let options = GetOptions { if_match: Some("\"other\"".to_owned()), ..GetOptions::default() };
            let changed = block_on(found.store.get_opts(&found.path, options));
            assert!(matches!(changed, Err(object_store::Error::Precondition { .. })), "{key}");
        }
        let wrong = block_on(scene.lake.landing_object(LandingTable::Customer, "gs://b/k", "", 1));
        assert!(matches!(wrong, Err(OpenError::UnknownScheme(_))));
    });
}

#[test]
fn what_a_crash_leaves_is_seen_in_the_folder_of_its_run_only() {
    let scene = Scene::new();
    let run = run_id(1);
    let path = layout::part_path(CuratedTable::AccelerometerTrusted, run, 0, 0);
    let mut part = scene.lake.part_writer(&path).unwrap();
    part.write_all(b"half").unwrap();
    std::mem::forget(part);
    assert_eq!(scene.files().len(), 1, "{:?}", scene.files());
    assert!(block_on(scene.lake.list("accelerometer")).unwrap().is_empty());
    let left = block_on(scene.lake.list(layout::RUNS)).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(layout::run_of_object(&left[0].path), Some(run));
}

#[test]
fn deleting_twice_is_deleting_once() {
    on_every_lake(|scene| {
        scene.write("a/b/c", "1");
        scene.write("a/d", "1");
        block_on(scene.lake.delete("a/b/c")).unwrap();
        block_on(scene.lake.delete("a/b/c")).unwrap();
        assert!(matches!(block_on(scene.lake.read("a/b/c")), Err(StoreError::NotFound { .. })));
        block_on(scene.lake.delete_all(&["a/x".to_owned(), "a/y".to_owned()])).unwrap();
        assert_eq!(scene.files(), [("a/d".to_owned(), 1)].into());
    });
}

#[test]
fn empty_folders_go() {
    let scene = Scene::new();
    scene.write("a/b/c", "1");
    scene.write("a/d", "1");
    block_on(scene.lake.delete("a/b/c")).unwrap();
    block_on(scene.lake.remove_empty_folders("a")).unwrap();
    assert!(!scene.path("a/b").exists() && scene.path("a/d").exists());
    block_on(scene.lake.remove_empty_folders("missing")).unwrap();
    block_on(probe(&scene.lake, run_id(1))).unwrap();
    assert!(!scene.path(&layout::run_dir(run_id(1))).exists());
}

#[test]
fn a_listing_has_sizes_and_times_and_is_sorted() {
    on_every_lake(|scene| {
        scene.write("a/c", "123");
        scene.write("a/b/x", "1");
        let objects = block_on(scene.lake.list("a")).unwrap();
        let found: Vec<_> = objects.iter().map(|object| (object.path.as_str(), object.bytes)).collect();
        assert_eq!(found, [("a/b/x", 1), ("a/c", 3)]);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age_ms = now.as_millis() - u128::from(objects[1].modified_ms);
        assert!(age_ms < 3_600_000, "the time is in milliseconds: {age_ms}");
    });
}

#[test]
fn a_name_that_runs_through_a_file_cannot_be_created() {
    let scene = Scene::new();
    scene.write("customer/trusted", "a file where a folder should be");
    let path = layout::part_path(CuratedTable::CustomerTrusted, run_id(1), 0, 0);
    let error = scene.lake.part_writer(&path).unwrap().finish().unwrap_err().to_string();
    assert!(error.contains(&path), "{error}");
    assert_eq!(scene.files().len(), 1);
}

#[test]
fn a_probe_leaves_nothing() {
    on_every_lake(|scene| {
        block_on(probe(&scene.lake, run_id(1))).unwrap();
        assert!(scene.files().is_empty());
    });
}

//! What is so on S3 only: lost replies, throttling, bodies that break, credentials and permissions.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload, WriteMultipart};
use stedi_lake::commit::CommitRecord;
use stedi_lake::{CuratedTable, LandingTable, layout};
use stedi_sim_s3::{BUCKET, Effect, KEY_ID, Request, S3Server};
use stedi_store::{CommitLog, ErrorClass, Lake, OpenError, ProbeError, PutNew, S3Client, StoreError, probe};

use crate::{PREFIX, RUNTIME, Scene, block_on, race, run_id};

const ALWAYS: u64 = u64::MAX;

fn part_path(n: u32) -> String {
    layout::part_path(CuratedTable::MachineLearningCurated, run_id(1), n, 0)
}

fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect()
}

/// The whole chain, as the command line prints it.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

#[test]
fn a_lake_is_a_prefix_of_a_bucket() {
    let scene = Scene::s3();
    assert_eq!(scene.lake.uri(), format!("s3://{BUCKET}/{PREFIX}"));
    assert_eq!(scene.lake.location("x/y"), format!("s3://{BUCKET}/{PREFIX}/x/y"));
    assert_eq!(scene.lake.local_folder(), None);
    let whole = Scene::open(scene.server(), &format!("s3://{BUCKET}"));
    scene.server().put("customer/landing/a.json", b"{}");
    scene.server().put(&format!("{PREFIX}2/customer/landing/b.json"), b"{}");
    assert_eq!(block_on(whole.landing(LandingTable::Customer)).unwrap()[0].key, "customer/landing/a.json");
    assert!(block_on(scene.lake.landing(LandingTable::Customer)).unwrap().is_empty());
    assert!(matches!(Lake::open("s3:///x"), Err(OpenError::UnknownScheme(_))));
}

#[test]
fn a_put_that_lost_its_reply_was_made_and_by_whom_is_known() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    faults.add(Request::Put, "mine", 1, Effect::LoseReply);
    assert_eq!(block_on(scene.lake.put_new("mine", Bytes::from_static(b"1"))).unwrap(), PutNew::Created);
    faults.add(Request::Put, "theirs", 1, Effect::Reset);
    scene.write("theirs", "2");
    assert_eq!(block_on(scene.lake.put_new("theirs", Bytes::from_static(b"2"))).unwrap(), PutNew::Exists);
    // the reply is lost, and so is the first answer to the question whose it is
    faults.add(Request::Put, "late", 1, Effect::LoseReply);
    faults.add(Request::Head, "late", 4, Effect::Reset);
    assert_eq!(block_on(scene.lake.put_new("late", Bytes::from_static(b"3"))).unwrap(), PutNew::Created);
    assert_eq!(faults.hits(), 7);
}

#[test]
fn of_many_whose_replies_are_lost_one_wins() {
    let scene = Scene::s3();
    for round in 0..5 {
        let path = format!("{}.{round}", part_path(0));
        scene.server().faults().add(Request::Put, &path, 4, Effect::LoseReply);
        let outcomes = race(8, |n| block_on(scene.lake.put_new(&path, Bytes::from(vec![n; 1000]))).unwrap());
        let winners: Vec<_> =
            (0..).zip(&outcomes).filter(|(_, put)| **put == PutNew::Created).map(|(n, _)| n).collect();
        let [winner] = winners[..] else { panic!("round {round}: {winners:?} won") };
        assert_eq!(block_on(scene.lake.read(&path)).unwrap(), vec![winner; 1000]);
    }
}

#[test]
fn an_upload_that_lost_its_replies_is_made_once() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    for request in [Request::Begin, Request::Part, Request::Complete] {
        faults.add(request, "part-", 1, Effect::LoseReply);
    }
    faults.add(Request::Part, "part-", 2, Effect::SlowDown);
    let bytes = noise(20_000_000);
    let mut part = scene.lake.part_writer(&part_path(0)).unwrap();
    part.write_all(&bytes).unwrap();
    assert_eq!(part.finish().unwrap(), PutNew::Created);
    assert!(block_on(scene.lake.read(&part_path(0))).unwrap() == bytes, "other bytes");
    assert_eq!(faults.hits(), 5);
    // the upload whose beginning got no answer is nobody's; only `gc` can know
    assert_eq!(scene.server().unfinished_uploads().len(), 1);
    let unfinished = block_on(scene.lake.unfinished_uploads()).unwrap();
    assert_eq!(unfinished[0].key, format!("{PREFIX}/{}", part_path(0)));
    assert!(unfinished[0].started_ms > 1_700_000_000_000, "epoch ms");
    for _ in 0..2 {
        block_on(scene.lake.abort_upload(&unfinished[0])).unwrap();
    }
    assert_eq!(scene.files().len(), 1);
}

#[test]
fn an_upload_that_fails_leaves_nothing() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    faults.add(Request::Part, "part-", ALWAYS, Effect::AccessDenied);
    let mut part = scene.lake.part_writer(&part_path(0)).unwrap();
    let error = part.write_all(&noise(40_000_000)).unwrap_err();
    assert_eq!(ErrorClass::of(&error), Some(ErrorClass::Permanent));
    assert!(error.to_string().contains(&part_path(0)), "{error}");
    drop(part);
    assert!(scene.files().is_empty());

    faults.clear();
    faults.add(Request::Complete, "part-", ALWAYS, Effect::SlowDown);
    let mut part = scene.lake.part_writer(&part_path(0)).unwrap();
    part.write_all(&noise(9_000_000)).unwrap();
    let error = part.finish().unwrap_err();
    assert_eq!(error.class(), ErrorClass::Throttled, "{}", text(&error));
    assert!(scene.files().is_empty());
}

#[test]
fn a_commit_that_lost_its_reply_is_made_once() {
    let scene = Scene::s3();
    scene.server().faults().add(Request::Put, layout::LOG, 1, Effect::LoseReply);
    let record: CommitRecord = crate::log::record(1, 1);
    block_on(CommitLog::new(&scene.lake).commit(&record)).unwrap();
    assert_eq!(block_on(CommitLog::new(&scene.lake).all()).unwrap(), [record]);
}

#[test]
fn throttling_and_resets_are_waited_out() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    scene.write("a/b", "1");
    for (n, effect) in [Effect::SlowDown, Effect::InternalError, Effect::Reset].into_iter().enumerate() {
        faults.add(Request::Any, "", 2, effect);
        assert_eq!(block_on(scene.lake.read("a/b")).unwrap(), "1", "{effect:?}");
        faults.add(Request::Any, "", 2, effect);
        assert_eq!(block_on(scene.lake.list("a")).unwrap().len(), 1, "{effect:?}");
        faults.add(Request::Put, "", 2, effect);
        let put = block_on(scene.lake.put_new(&format!("c{n}"), Bytes::from_static(b"1")));
        assert_eq!(put.unwrap(), PutNew::Created, "{effect:?}");
    }
    assert_eq!(faults.hits(), 18);
}

#[test]
fn a_body_that_breaks_is_read_on() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    let bytes = noise(15_000_000);
    scene.server().put(&format!("{PREFIX}/large"), &bytes);
    let read = |options: GetOptions| {
        block_on(async { scene.lake.store().get_opts(&scene.lake.path("large"), options).await?.bytes().await })
    };
    faults.add(Request::Get, "large", 3, Effect::CutBody(1_000_000));
    assert!(read(GetOptions::default()).unwrap() == bytes, "other bytes");
    for range in [GetRange::Offset(77), GetRange::Bounded(77..15_000_000), GetRange::Suffix(14_999_923)] {
        faults.add(Request::Get, "large", 3, Effect::CutBody(900_001));
        let result = read(GetOptions { range: Some(range.clone()), ..GetOptions::default() });
        assert!(result.unwrap() == bytes[77..], "other bytes in {range:?}");
    }
    assert_eq!(faults.hits(), 12);

    // a new version in the middle of reading is not read on
    let stream = block_on(scene.lake.store().get(&scene.lake.path("large"))).unwrap().into_stream();
    let changed = block_on(async {
        futures::pin_mut!(stream);
        stream.try_next().await.unwrap();
        faults.add(Request::Get, "large", 1, Effect::CutBody(0));
        scene.server().put(&format!("{PREFIX}/large"), b"another");
        // what is on its way already is of the old version
        stream.try_collect::<Vec<_>>().await
    });
    if let Err(error) = changed {
        assert!(matches!(error, object_store::Error::Precondition { .. }), "{error}");
    }
}

#[test]
fn bytes_that_are_not_those_that_were_stored_are_refused() {
    let scene = Scene::s3();
    assert_eq!(block_on(scene.lake.put_new("a", Bytes::from(noise(100_000)))).unwrap(), PutNew::Created);
    scene.server().faults().add(Request::Get, "a", 1, Effect::FlipBit);
    let error = block_on(scene.lake.read("a")).unwrap_err();
    assert_eq!(error.class(), ErrorClass::TransientIo);
    assert!(text(&error).contains("not those that were stored"), "{}", text(&error));
    assert!(block_on(scene.lake.read("a")).unwrap() == noise(100_000), "other bytes");
}

#[test]
fn a_listing_goes_over_its_pages() {
    let scene = Scene::s3();
    for n in 0..2_500 {
        scene.write(&format!("a/{n:05}"), "1");
    }
    let before = scene.lake.requests();
    let listed = block_on(scene.lake.list("a")).unwrap();
    assert_eq!(listed.len(), 2_500);
    assert_eq!(listed[1_234].path, "a/01234");
    assert_eq!(scene.lake.requests().list - before.list, 3);
    // as consumed: whoever wants one object asks for one page
    let first = block_on(async { scene.lake.store().list(Some(&scene.lake.path("a"))).try_next().await });
    assert!(first.unwrap().is_some());
    assert_eq!(scene.lake.requests().list - before.list, 4);
    let after = scene.lake.path("a/02490");
    let rest: Vec<_> =
        block_on(scene.lake.store().list_with_offset(Some(&scene.lake.path("a")), &after).try_collect()).unwrap();
    assert_eq!(rest.len(), 9);
    let folders = block_on(scene.lake.store().list_with_delimiter(Some(&scene.lake.path("")))).unwrap();
    assert_eq!((folders.common_prefixes, folders.objects.len()), (vec![scene.lake.path("a")], 0));
}

#[test]
fn requests_are_counted_as_they_are_sent() {
    let scene = Scene::s3();
    scene.write("a", "1");
    assert_eq!(scene.lake.requests(), Default::default());
    scene.server().faults().add(Request::Get, "", 1, Effect::SlowDown);
    block_on(scene.lake.read("a")).unwrap();
    block_on(scene.lake.put_new("b", Bytes::new())).unwrap();
    block_on(scene.lake.store().head(&scene.lake.path("b"))).unwrap();
    block_on(scene.lake.delete("b")).unwrap();
    let counts = scene.lake.requests();
    assert_eq!((counts.get, counts.put, counts.head, counts.list, counts.delete), (2, 1, 1, 0, 1));
    assert_eq!(Scene::new().lake.requests(), Default::default());
}

#[test]
fn a_store_without_conditional_writes_is_refused() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    for effect in [Effect::IgnoreConditions, Effect::RefuseConditions] {
        faults.clear();
        faults.add(Request::Any, "", ALWAYS, effect);
        let error = block_on(probe(&scene.lake, run_id(1))).unwrap_err();
        assert!(matches!(error, ProbeError::NotHonoured { .. }), "{effect:?}: {error}");
        assert!(error.to_string().contains(scene.lake.uri()) && error.to_string().contains("If-None-Match"), "{error}");
        assert!(scene.files().is_empty());
    }
}

#[test]
fn what_is_refused_says_why_and_what_to_do() {
    let scene = Scene::s3();
    let faults = scene.server().faults();
    scene.write("customer/landing/a.json", "{}");
    let location = scene.lake.location("customer/landing");
    let refused = |effect| {
        faults.clear();
        faults.add(Request::Any, "customer/landing", ALWAYS, effect);
        let error = block_on(scene.lake.landing(LandingTable::Customer)).unwrap_err();
        assert!(text(&error).contains(&location), "{}", text(&error));
        (error.class(), text(&error), error)
    };
    let (class, _, error) = refused(Effect::AccessDenied);
    assert!(matches!(error, StoreError::PermissionDenied { .. }), "{error:?}");
    assert_eq!(class, ErrorClass::Permanent);
    for (effect, class, words) in [
        (Effect::ExpiredToken, ErrorClass::Permanent, "expired"),
        (Effect::ClockSkew, ErrorClass::Permanent, "clock"),
        (Effect::SlowDown, ErrorClass::Throttled, "slow down"),
        (Effect::Reset, ErrorClass::TransientIo, "retries"),
    ] {
        let found = refused(effect);
        assert!(found.0 == class && found.1.contains(words), "{effect:?}: {:?} {}", found.0, found.1);
    }
}

#[test]
fn a_wrong_bucket_credential_or_endpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path());
    let failure = |uri: &str, client: &S3Client| {
        let lake = Lake::open_with(uri, client).unwrap().on_runtime(RUNTIME.handle());
        let write = block_on(lake.put_new("a", Bytes::new())).unwrap_err();
        let read = block_on(lake.list("a")).unwrap_err();
        assert_eq!((read.class(), write.class()), (write.class(), read.class()));
        (read.class(), format!("{} / {}", text(&read), text(&write)))
    };
    let right = S3Client::at(server.endpoint(), KEY_ID, stedi_sim_s3::SECRET, 2);
    let (class, words) = failure("s3://no-such-bucket/x", &right);
    assert_eq!(class, ErrorClass::Permanent, "{words}");
    assert_eq!(words.matches("there is no bucket no-such-bucket").count(), 2, "{words}");
    let wrong = S3Client::at(server.endpoint(), KEY_ID, "another secret", 2);
    let (class, words) = failure(&server.lake("x"), &wrong);
    assert_eq!(class, ErrorClass::Permanent, "{words}");
    assert_eq!(words.matches("refuses the AWS credentials").count(), 2, "{words}");
    let endpoint = server.endpoint().to_owned();
    drop(server);
    let (class, words) = failure("s3://lake/x", &S3Client::at(&endpoint, KEY_ID, "secret", 2));
    assert_eq!(class, ErrorClass::TransientIo, "{words}");
    assert_eq!(words.matches("cannot be reached").count(), 2, "{words}");
}

#[test]
fn a_slow_answer_is_an_answer() {
    let scene = Scene::s3();
    scene.write("a", "1");
    scene.server().faults().add(Request::Any, "", 2, Effect::Slow(Duration::from_millis(20)));
    assert_eq!(block_on(scene.lake.read("a")).unwrap(), "1");
    assert_eq!(block_on(scene.lake.put_new("b", Bytes::new())).unwrap(), PutNew::Created);
}

#[test]
fn the_port_has_what_it_promises() {
    let scene = Scene::s3();
    let (store, path) = (scene.lake.store(), scene.lake.path("x"));
    block_on(async {
        let first = store.put(&path, PutPayload::from_static(b"first")).await.unwrap();
        let exists = store.put_opts(&path, PutPayload::from_static(b"2"), PutMode::Create.into()).await;
        assert!(matches!(exists, Err(object_store::Error::AlreadyExists { .. })), "{exists:?}");
        let update = |version: object_store::PutResult| {
            store.put_opts(&path, PutPayload::from_static(b"second"), PutMode::Update(version.into()).into())
        };
        let second = update(first.clone()).await.unwrap();
        assert!(matches!(update(first).await, Err(object_store::Error::Precondition { .. })));
        let same = GetOptions { if_none_match: second.e_tag.clone(), ..GetOptions::default() };
        assert!(matches!(store.get_opts(&path, same).await, Err(object_store::Error::NotModified { .. })));
        let head = store.head(&path).await.unwrap();
        assert_eq!((head.size, head.e_tag), (6, second.e_tag));
        assert_eq!(store.get_ranges(&path, &[0..2, 4..6]).await.unwrap(), ["se", "nd"]);
        assert!(store.get_range(&path, 6..8).await.is_err());
        assert!(matches!(
            store.copy(&path, &scene.lake.path("y")).await,
            Err(object_store::Error::NotSupported { .. })
        ));

        let upload = store.put_multipart(&path).await.unwrap();
        let mut writer = WriteMultipart::new(upload);
        writer.write(&noise(12_000_000));
        writer.finish().await.unwrap();
        assert!(store.get(&path).await.unwrap().bytes().await.unwrap() == noise(12_000_000), "other bytes");
        let mut given_up = store.put_multipart(&path).await.unwrap();
        given_up.put_part(PutPayload::from_static(b"1")).await.unwrap();
        given_up.abort().await.unwrap();
    });
    assert_eq!(scene.files(), [("x".to_owned(), 12_000_000)].into());
}

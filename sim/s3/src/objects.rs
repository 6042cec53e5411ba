//! Objects and uploads: names in memory, bytes in files.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Md5};

use crate::BUCKET;

/// Objects up to this size are kept in memory: a disk that is busy with other things makes thousands of files slowly.
const MEMORY_BYTES: usize = 64 << 10;

/// Bytes; a file of them goes with the last object that has it.
#[derive(Debug)]
enum Segment {
    Memory(Vec<u8>),
    File { path: PathBuf, bytes: u64 },
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    fn read(&self, range: Range<u64>) -> Vec<u8> {
        match self {
            Self::Memory(bytes) => {
                let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
                bytes[start..end].to_vec()
            }
            Self::File { path, .. } => {
                let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
                File::open(path).unwrap().read_exact_at(&mut bytes, range.start).unwrap();
                bytes
            }
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Self::File { path, .. } = self {
            // the folder may be gone already
            let _ = fs::remove_file(path);
        }
    }
}

/// An object, as it was put.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    segments: Vec<Arc<Segment>>,
    pub(crate) bytes: u64,
    /// Without quotes.
    pub(crate) etag: String,
    /// Base64, of objects that were put in one request.
    pub(crate) crc32: Option<String>,
    pub(crate) modified: SystemTime,
    pub(crate) metadata: Option<HashMap<String, String>>,
}

impl Object {
    /// All its bytes.
    pub(crate) fn read(&self) -> Vec<u8> {
        self.read_range(0..self.bytes)
    }

    pub(crate) fn read_range(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap());
        let mut at = 0;
        for segment in &self.segments {
            let (start, end) = (range.start.max(at), range.end.min(at + segment.len()));
            if start < end {
                bytes.extend(segment.read(start - at..end - at));
            }
            at += segment.len();
        }
        bytes
    }
}

/// A part of an upload.
#[derive(Clone, Debug)]
struct Part {
    segment: Arc<Segment>,
    md5: [u8; 16],
}

#[derive(Debug)]
struct Upload {
    key: String,
    bucket: String,
    started: SystemTime,
    metadata: Option<HashMap<String, String>>,
    parts: BTreeMap<i32, Part>,
}

/// An upload, as a listing has it.
#[derive(Clone, Debug)]
pub(crate) struct ListedUpload {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) started: SystemTime,
}

/// Why something was not done, by S3's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    PreconditionFailed,
    NoSuchUpload,
    InvalidPart,
    EntityTooSmall,
}

/// What must be so for an object to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    None,
    Absent,
    Etag(String),
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Objects {
    folder: PathBuf,
    files: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    buckets: BTreeMap<String, BTreeMap<String, Object>>,
    uploads: BTreeMap<String, Upload>,
}

impl Objects {
    pub(crate) fn new(folder: &Path) -> Self {
        let buckets = BTreeMap::from([(BUCKET.to_owned(), BTreeMap::new())]);
        let state = Mutex::new(State { buckets, uploads: BTreeMap::new() });
        Self { folder: folder.to_owned(), files: AtomicU64::new(0), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn segment(&self, bytes: &[u8]) -> Arc<Segment> {
        if bytes.len() <= MEMORY_BYTES {
            return Arc::new(Segment::Memory(bytes.to_vec()));
        }
        let path = self.folder.join(format!("{:08}", self.files.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, bytes).unwrap();
        Arc::new(Segment::File { path, bytes: bytes.len() as u64 })
    }

    pub(crate) fn has_bucket(&self, bucket: &str) -> bool {
        self.state().buckets.contains_key(bucket)
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.state().buckets.get(bucket)?.get(key).cloned()
    }

    pub(crate) fn put_directly(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.put(bucket, key, bytes, None, &Condition::None).unwrap();
    }

    /// Decides the condition and puts the object in one step. The bucket must be there.
    pub(crate) fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        metadata: Option<HashMap<String, String>>,
        condition: &Condition,
    ) -> Result<Object, Refusal> {
        let object = Object {
            segments: vec![self.segment(bytes)],
            bytes: bytes.len() as u64,
            etag: hex(Md5::checksum(bytes).as_ref()),
            crc32: crc32(bytes),
            modified: SystemTime::now(),
            metadata,
        };
        self.state().put(bucket, key, object.clone(), condition)?;
        Ok(object)
    }

    pub(crate) fn delete(&self, bucket: &str, key: &str) {
        if let Some(objects) = self.state().buckets.get_mut(bucket) {
            objects.remove(key);
        }
    }

    /// At most `limit` objects whose keys begin with `prefix` and come after `after`, and whether there are more.
    pub(crate) fn list(&self, bucket: &str, prefix: &str, after: &str, limit: usize) -> (Vec<(String, Object)>, bool) {
        let state = self.state();
        let from = prefix.max(after).to_owned();
        let mut found = state.buckets[bucket]
            .range(from..)
            .filter(|(key, _)| after.is_empty() || key.as_str() > after)
            .take_while(|(key, _)| key.starts_with(prefix));
        let page = found.by_ref().take(limit).map(|(key, object)| (key.clone(), object.clone())).collect();
        (page, found.next().is_some())
    }

    pub(crate) fn begin(&self, bucket: &str, key: &str, metadata: Option<HashMap<String, String>>) -> String {
        let id = format!("upload-{:08}", self.files.fetch_add(1, Ordering::Relaxed));
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let upload = Upload { key, bucket, started: SystemTime::now(), metadata, parts: BTreeMap::new() };
        self.state().uploads.insert(id.clone(), upload);
        id
    }

    /// The ETag of the part.
    pub(crate) fn put_part(&self, id: &str, number: i32, bytes: &[u8]) -> Result<String, Refusal> {
        let mut md5 = [0; 16];
        md5.copy_from_slice(Md5::checksum(bytes).as_ref());
        let part = Part { segment: self.segment(bytes), md5 };
        self.state().uploads.get_mut(id).ok_or(Refusal::NoSuchUpload)?.parts.insert(number, part);
        Ok(hex(&md5))
    }

    pub(crate) fn complete(&self, id: &str, parts: &[(i32, String)], condition: &Condition) -> Result<Object, Refusal> {
        const PART_BYTES_MIN: u64 = 5 << 20;
        let mut state = self.state();
        let upload = state.uploads.get(id).ok_or(Refusal::NoSuchUpload)?;
        let mut segments = Vec::new();
        let mut md5s = Vec::new();
        for (n, (number, etag)) in (1..).zip(parts) {
            let part = upload.parts.get(number).filter(|part| hex(&part.md5) == *etag).ok_or(Refusal::InvalidPart)?;
            if n < parts.len() && part.segment.len() < PART_BYTES_MIN {
                return Err(Refusal::EntityTooSmall);
            }
            segments.push(Arc::clone(&part.segment));
            md5s.extend(part.md5);
        }
        let object = Object {
            bytes: segments.iter().map(|segment| segment.len()).sum(),
            segments,
            etag: format!("{}-{}", hex(Md5::checksum(&md5s).as_ref()), parts.len()),
            crc32: None,
            modified: SystemTime::now(),
            metadata: upload.metadata.clone(),
        };
        let (bucket, key) = (upload.bucket.clone(), upload.key.clone());
        state.put(&bucket, &key, object.clone(), condition)?;
        state.uploads.remove(id);
        Ok(object)
    }

    pub(crate) fn abort(&self, id: &str) -> Result<(), Refusal> {
        self.state().uploads.remove(id).map(|_| ()).ok_or(Refusal::NoSuchUpload)
    }

    pub(crate) fn uploads(&self, bucket: &str, prefix: &str) -> Vec<ListedUpload> {
        let state = self.state();
        let of_prefix = |upload: &Upload| upload.bucket == bucket && upload.key.starts_with(prefix);
        let listed = |(id, upload): (&String, &Upload)| {
            let (key, id, started) = (upload.key.clone(), id.clone(), upload.started);
            of_prefix(upload).then_some(ListedUpload { key, id, started })
        };
        state.uploads.iter().filter_map(listed).collect()
    }
}

impl State {
    fn put(&mut self, bucket: &str, key: &str, object: Object, condition: &Condition) -> Result<(), Refusal> {
        let objects = self.buckets.get_mut(bucket).unwrap();
        let holds = match (condition, objects.get(key)) {
            (Condition::None, _) | (Condition::Absent, None) => true,
            (Condition::Etag(wanted), Some(found)) => *wanted == found.etag,
            _ => false,
        };
        if !holds {
            return Err(Refusal::PreconditionFailed);
        }
        objects.insert(key.to_owned(), object);
        Ok(())
    }
}

/// CRC32 as S3 spells it.
pub(crate) fn crc32(bytes: &[u8]) -> Option<String> {
    let mut hasher = ChecksumHasher { crc32: Some(Crc32::new()), ..ChecksumHasher::default() };
    hasher.update(bytes);
    hasher.finalize().checksum_crc32
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

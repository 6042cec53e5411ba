//! What goes wrong, and when.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Under a storm, one request in so many goes wrong.
const STORM_ONE_IN: u64 = 3;

/// Requests of one kind about one object that go wrong under a storm, at most: fewer than a client tries.
const STORM_HITS_MAX: u64 = 2;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Every one.
    Any,
    /// GetObject.
    Get,
    /// HeadObject.
    Head,
    /// PutObject.
    Put,
    /// CreateMultipartUpload.
    Begin,
    /// UploadPart.
    Part,
    /// CompleteMultipartUpload.
    Complete,
    /// AbortMultipartUpload.
    Abort,
    /// A page of a listing of objects or uploads. Its key is the prefix.
    List,
    /// DeleteObject.
    Delete,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// 503 SlowDown; nothing is done.
    SlowDown,
    /// 500 InternalError; nothing is done.
    InternalError,
    /// The connection breaks before anything is done.
    Reset,
    /// It is done after so long.
    Slow(Duration),
    /// It is done, but the connection breaks instead of an answer.
    LoseReply,
    /// The body of the answer breaks off after so many bytes.
    CutBody(u64),
    /// One bit of the answer's body is another.
    FlipBit,
    /// 403 AccessDenied.
    AccessDenied,
    /// 400 ExpiredToken.
    ExpiredToken,
    /// 403 RequestTimeTooSkewed.
    ClockSkew,
    /// 501 NotImplemented to a request with a condition.
    RefuseConditions,
    /// Conditions are not looked at.
    IgnoreConditions,
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The requests it befalls...
    pub request: Request,
    /// ... of objects whose key has this in it...
    pub key: String,
    /// ... and of those the first so many.
    pub times: u64,
    /// What becomes of them.
    pub effect: Effect,
}

/// The faults of a server, for a test to switch on and off. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    storm: Option<Storm>,
    seen: BTreeMap<Request, u64>,
    hits: u64,
}

/// Requests that go wrong as if by chance.
#[derive(Debug)]
struct Storm {
    seed: u64,
    /// Requests so far, and those of them that went wrong, of each kind and object.
    seen: BTreeMap<(Request, String), (u64, u64)>,
}

impl Storm {
    /// What becomes of a request follows from the seed, its kind, the last name in its key (run ids are other ones each
    /// time) and how many there were like it.
    fn befall(&mut self, request: Request, key: &str) -> Option<Effect> {
        let (requests, hits) = self.seen.entry((request, key.to_owned())).or_default();
        *requests += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, request, key.rsplit('/').next(), *requests).hash(&mut hasher);
        let chance = hasher.finish();
        if *hits >= STORM_HITS_MAX || !chance.is_multiple_of(STORM_ONE_IN) {
            return None;
        }
        *hits += 1;
        let of_body = if request == Request::Get { Effect::CutBody(100) } else { Effect::LoseReply };
        let effects = [
            Effect::SlowDown,
            Effect::InternalError,
            Effect::Reset,
            Effect::LoseReply,
            Effect::Slow(Duration::from_millis(40)),
            of_body,
        ];
        effects.into_iter().cycle().nth(usize::try_from(chance / STORM_ONE_IN % 6).unwrap_or(0))
    }
}

impl Faults {
    /// Lets the next `times` requests of that kind, of keys with `key` in them, go wrong.
    pub fn add(&self, request: Request, key: &str, times: u64, effect: Effect) {
        self.state().faults.push(Fault { request, key: key.to_owned(), times, effect });
    }

    /// Lets some of all requests go wrong from now on: refused, cut off, late, done without an answer. None fails as often
    /// as a client of [`S3Server::env`](crate::S3Server::env) tries.
    pub fn storm(&self, seed: u64) {
        self.state().storm = Some(Storm { seed, seen: BTreeMap::new() });
    }

    /// Switches everything off.
    pub fn clear(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.storm = None;
    }

    /// How many requests of these kinds have come in, whatever became of them.
    pub fn seen(&self, requests: &[Request]) -> u64 {
        let state = self.state();
        requests.iter().filter_map(|request| state.seen.get(request)).sum()
    }

    /// How many requests have gone wrong.
    pub fn hits(&self) -> u64 {
        self.state().hits
    }

    /// What becomes of a request: the first fault that fits and is not used up.
    pub(crate) fn befall(&self, request: Request, key: &str, has_condition: bool) -> Option<Effect> {
        let mut state = self.state();
        *state.seen.entry(request).or_default() += 1;
        let about_conditions = |effect| matches!(effect, Effect::RefuseConditions | Effect::IgnoreConditions);
        let fault = state.faults.iter_mut().find(|fault| {
            (fault.request == Request::Any || fault.request == request)
                && key.contains(&fault.key)
                && fault.times > 0
                && (has_condition || !about_conditions(fault.effect))
        });
        let effect = match fault {
            Some(fault) => {
                fault.times -= 1;
                fault.effect
            }
            None => state.storm.as_mut()?.befall(request, key)?,
        };
        state.hits += 1;
        Some(effect)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What goes wrong, and when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    hits: u64,
}

impl Faults {
    /// Lets the next `times` requests of that kind, of keys with `key` in them, go wrong.
    pub fn add(&self, request: Request, key: &str, times: u64, effect: Effect) {
        self.state().faults.push(Fault { request, key: key.to_owned(), times, effect });
    }

    /// Switches everything off.
    pub fn clear(&self) {
        self.state().faults.clear();
    }

    /// How many requests have gone wrong.
    pub fn hits(&self) -> u64 {
        self.state().hits
    }

    /// What becomes of a request: the first fault that fits and is not used up.
    pub(crate) fn befall(&self, request: Request, key: &str, has_condition: bool) -> Option<Effect> {
        let mut state = self.state();
        let about_conditions = |effect| matches!(effect, Effect::RefuseConditions | Effect::IgnoreConditions);
        let fault = state.faults.iter_mut().find(|fault| {
            (fault.request == Request::Any || fault.request == request)
                && key.contains(&fault.key)
                && fault.times > 0
                && (has_condition || !about_conditions(fault.effect))
        })?;
        fault.times -= 1;
        let effect = fault.effect;
        state.hits += 1;
        Some(effect)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

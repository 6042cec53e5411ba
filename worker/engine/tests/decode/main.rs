//! The decoder: formats, faults, and that neither chunks nor splits nor the fast path show in what it says.

mod faults;
mod formats;
mod framing;
mod layout;
mod support;

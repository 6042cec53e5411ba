//! The engine gives what the oracle gives, and the oracle what people worked out by hand.

#![expect(clippy::panic, clippy::print_stdout, reason = "these are tests, and a skipped one must be seen")]

mod adversarial;
mod by_hand;
mod generated;
mod oracle;
mod simulated;
mod starter;

//! The engine gives what the oracle gives, and the oracle what people worked out by hand.

mod oracle;

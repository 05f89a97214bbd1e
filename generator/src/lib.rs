//! Seeded, realistic payment events, and the totals that a correct pipeline must end with.
//!
//! ```
//! use millrace_generator::{stream, Options};
//!
//! let mut events = stream(Options { lines: 1_000, seed: 7, ..Options::default() })?;
//! for line in events.by_ref() {
//!     let _json: String = serde_json::to_string(&line)?; // one line of NDJSON
//! }
//! let expected = events.expected();
//! assert_eq!(expected.published, 1_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! How it can be certain of the totals without the pipeline's rules: every payment is planned whole, as a
//! sequence that is valid by construction, before its first event is published. Its end is the sum of its steps.
//! What is then done to it (late, twice, under a used id, a step too many) is limited to what the design's table
//! resolves in exactly one way.
//!
//! Left to others on purpose: the state machine, validation and encoding. This crate depends on nothing of ours,
//! so that the compiler forbids that a rule is wrong here and there alike.
//!
//! Memory does not grow with the number of finished payments: at most [`LIFE_LINES_MAX`] payments are in flight,
//! 8192 events are remembered for republishing, and one balance is kept for each merchant and currency.

mod disorder;
mod event;
mod expected;
mod life;
mod memory;
mod mistakes;
mod options;
mod planner;
mod stream;
mod tally;

pub use event::{Currency, Event, EventType, Line, Metadata, Raw};
pub use expected::{Difference, Expected, Outcome};
pub use life::LIFE_LINES_MAX;
pub use options::{Options, OptionsError, Profile};
pub use stream::{Stream, stream, write_ndjson};

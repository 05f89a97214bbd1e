//! The stages: what is prepared outside the count, and which function is counted.
//!
//! Encoding for COPY is not among them yet: its code has no public form without a connection.

use millrace_wire::schemas::SchemaTable;

use crate::judged::Lane;
use crate::{counted, input};

/// A part of the pure path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The publisher: a line of JSON becomes an event.
    Parse,
    /// The publisher: an event becomes a framed Avro value and headers.
    Encode,
    /// The worker: a record becomes an event (rule 1).
    Decode,
    /// The worker: decoded records become what the batch writes (rules 2 to 8).
    Judge,
}

impl Stage {
    /// All of them, in the order in which an event meets them.
    pub const ALL: [Stage; 4] = [Stage::Parse, Stage::Encode, Stage::Decode, Stage::Judge];

    /// The name on the command line and in the baseline.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Encode => "encode",
            Stage::Decode => "decode",
            Stage::Judge => "judge",
        }
    }

    /// The names of all.
    pub fn names() -> Vec<&'static str> {
        Stage::ALL.iter().map(|stage| stage.name()).collect()
    }

    /// The stage of this name.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Prepares the input and runs the counted function over all of it.
    pub fn run(self) -> anyhow::Result<()> {
        // Parsing the schemas is the price of a process, not of an event.
        SchemaTable::built_in();
        match self {
            Stage::Parse => counted::counted_parse(&input::lines()?),
            Stage::Encode => counted::counted_encode(&input::events()?),
            Stage::Decode => counted::counted_decode(&input::records()?),
            Stage::Judge => {
                let mut lane = Lane::new();
                for batch in input::batches(&input::records()?) {
                    lane.take(&batch);
                }
                anyhow::ensure!(lane.applied() > input::EVENTS / 2, "{} events applied: not a stream", lane.applied());
            }
        }
        Ok(())
    }
}

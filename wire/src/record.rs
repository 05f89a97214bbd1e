//! Rule 1: a Kafka record becomes an event, or is refused by name.
//!
//! The order is that of the design: body, rules of form, headers, key. Dead letters are left to `store`.

use millrace_domain::event::Event;
use millrace_domain::ids::{EventId, PaymentId};
use millrace_domain::reason::Rejection;

use crate::avro;
use crate::headers;
use crate::schemas::SchemaTable;

/// Why a record is not an event that may be judged further.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// One of `malformed`, `unknown_schema`, `header_mismatch`, `wrong_key`.
    pub reason: Rejection,
    /// What was found and what is wanted, for a person.
    pub detail: String,
    /// The event id and the payment that the body names, where it could be read: to find the record by, not to trust.
    /// Behind a pointer: few records are refused, and every one is moved about with room for this.
    pub names: Option<Box<(EventId, PaymentId)>>,
}

impl Refusal {
    pub(crate) fn new(reason: Rejection, detail: String) -> Refusal {
        Refusal { reason, detail, names: None }
    }

    pub(crate) fn malformed(detail: String) -> Refusal {
        Refusal::new(Rejection::Malformed, detail)
    }

    pub(crate) fn naming(self, names: (EventId, PaymentId)) -> Refusal {
        Refusal { names: Some(Box::new(names)), ..self }
    }
}

/// Decodes a record's value and checks its headers and key against it.
pub fn decode<'a, N: AsRef<[u8]>>(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl IntoIterator<Item = (N, Option<&'a [u8]>)>,
    schemas: &SchemaTable,
) -> Result<Event, Refusal> {
    let value =
        value.ok_or_else(|| Refusal::malformed("the record has no value: the topic takes no tombstones".into()))?;
    let event = avro::decode(value, schemas)?;
    let names = |refusal: Refusal| refusal.naming(event.names());
    headers::check(&event, headers).map_err(names)?;
    if key != Some(event.user_id.as_str().as_bytes()) {
        let found = key.map_or("missing".into(), |k| shown(&String::from_utf8_lossy(k)));
        let wanted = event.user_id.as_str();
        let detail = format!("the Kafka key is {found}, it must be the user id {wanted:?}");
        return Err(names(Refusal::new(Rejection::WrongKey, detail)));
    }
    Ok(event)
}

/// A value as an error message may show it: short, and on one line.
pub(crate) fn shown(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    match value.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &value[..end]),
        None => format!("{value:?}"),
    }
}

//! The JSON form: one object a line, the names of the Avro schema, `occurred_at` as RFC 3339.
//!
//! Reading files and counting lines is left to the program that has the file.

use std::borrow::Cow;

use millrace_domain::event::{Draft, Event, FormError};
use millrace_domain::ids::Micros;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::entries::Entries;
use crate::record::shown;

const MICROS_IN_SECOND: i64 = 1_000_000;

/// Why a line is not an event: the field and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not one JSON object with the fields of an event.
    #[error("{0}")]
    Shape(String),
    /// A field breaks a rule of form.
    #[error(transparent)]
    Form(#[from] FormError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonEvent<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    payment_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    #[serde(default)]
    merchant_id: Option<Cow<'a, str>>,
    #[serde(default)]
    operation_id: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence: Option<i64>,
    amount_minor: i64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    occurred_at: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(default)]
    correlation_id: Option<Cow<'a, str>>,
    #[serde(default)]
    causation_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    metadata: Entries<'a>,
}

/// The event that one line of JSON states.
pub fn parse(line: &[u8]) -> Result<Event, JsonError> {
    // Serde would take an array of the values, in the order of the fields, for the object.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(JsonError::Shape(
            "not an event in JSON: a line holds one JSON object, which begins with `{`".into(),
        ));
    }
    // To know at each moment which field is read costs a quarter of the time: that is for lines that fail.
    // The whole line is checked for UTF-8 at once, for to check each string by itself costs a fifth.
    let quick = std::str::from_utf8(line).ok().and_then(|text| serde_json::from_str(text).ok());
    let json: JsonEvent<'_> = match quick {
        Some(json) => json,
        None => read_with_care(line)?,
    };
    let occurred_at = parse_rfc3339(&json.occurred_at).ok_or_else(|| FormError {
        field: "occurred_at",
        problem: format!("{} is not a time in RFC 3339 such as 2026-11-23T09:30:00.125Z", shown(&json.occurred_at)),
    })?;
    let draft = Draft {
        event_id: json.event_id.into(),
        event_type: json.event_type,
        payment_id: json.payment_id.into(),
        user_id: json.user_id,
        merchant_id: json.merchant_id,
        operation_id: json.operation_id.map(Into::into),
        sequence: json.sequence,
        amount_minor: json.amount_minor,
        currency: json.currency,
        occurred_at_micros: occurred_at.0,
        source: json.source,
        correlation_id: json.correlation_id,
        causation_id: json.causation_id,
        metadata: json.metadata.0,
    };
    Ok(draft.check()?)
}

/// Reads the object once more, for an error that names its field.
fn read_with_care(line: &[u8]) -> Result<JsonEvent<'_>, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(line);
    let json = serde_path_to_error::deserialize(&mut reader).map_err(|e| JsonError::Shape(shape_problem(&e)))?;
    reader.end().map_err(|e| JsonError::Shape(format!("a line holds one JSON object and nothing behind it: {e}")))?;
    Ok(json)
}

fn shape_problem(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    let problem = match path.as_str() {
        // The second where the text ends before a name does.
        "." | "?" => format!("not an event in JSON: {}", error.inner()),
        field => format!("field `{field}`: {}", error.inner()),
    };
    short(problem)
}

/// A message with the publisher's own text in it: short, and on one line.
fn short(mut problem: String) -> String {
    const PROBLEM_CHARS_MAX: usize = 400;
    if let Some((end, _)) = problem.char_indices().nth(PROBLEM_CHARS_MAX) {
        problem.truncate(end);
        problem.push_str("...");
    }
    problem.replace(char::is_control, " ")
}

/// The event in its JSON form, without a line end.
pub fn to_string(event: &Event) -> String {
    let json = JsonEvent {
        event_id: event.event_id.to_string().into(),
        event_type: event.event_type.as_str().into(),
        payment_id: event.payment_id.to_string().into(),
        user_id: event.user_id.as_str().into(),
        merchant_id: event.merchant_id.as_ref().map(|m| m.as_str().into()),
        operation_id: event.operation_id.map(|id| id.to_string().into()),
        sequence: event.sequence,
        amount_minor: event.amount_minor,
        currency: event.currency.code().into(),
        // Only bytes of another publisher can hold a year beyond 9999; people then see the number.
        occurred_at: rfc3339(event.occurred_at).unwrap_or_else(|| event.occurred_at.0.to_string()).into(),
        source: event.source.as_str().into(),
        correlation_id: event.correlation_id.as_deref().map(Cow::Borrowed),
        causation_id: event.causation_id.as_deref().map(Cow::Borrowed),
        metadata: Entries(event.metadata.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into())).collect()),
    };
    serde_json::to_string(&json).expect("strings and numbers always have a JSON form")
}

/// The moment in RFC 3339, UTC; none outside the years 0 to 9999, which RFC 3339 cannot tell.
pub fn rfc3339(moment: Micros) -> Option<String> {
    let second = OffsetDateTime::from_unix_timestamp(moment.0.div_euclid(MICROS_IN_SECOND)).ok()?;
    let micros = u32::try_from(moment.0.rem_euclid(MICROS_IN_SECOND)).ok()?;
    second.replace_microsecond(micros).ok()?.format(&Rfc3339).ok()
}

/// The moment that a text in RFC 3339 tells, cut to microseconds: further digits are left out, before 1970 too.
pub fn parse_rfc3339(text: &str) -> Option<Micros> {
    // `time` takes any character between date and time; RFC 3339 has these.
    const SEPARATOR_AT: usize = 10;
    if !matches!(text.as_bytes().get(SEPARATOR_AT)?, b'T' | b't' | b' ') {
        return None;
    }
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(Micros(time.unix_timestamp() * MICROS_IN_SECOND + i64::from(time.microsecond())))
}

//! The committed schemas and examples: what other languages rely on, byte for byte.
//!
//! The bytes of the examples were first written by an encoder of their own, straight from Avro's specification, and
//! not by this crate.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use common::{any_event, example, example_bytes, example_names, hex, read, schemas};
use millrace_domain::event::Event;
use millrace_wire::avro;
use millrace_wire::schemas::{SchemaId, SchemaTable, WRITER_ID};
use proptest::prelude::*;

#[derive(serde::Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Row {
    id: u32,
    subject: String,
    version: u32,
    file: String,
}

fn rows() -> Vec<Row> {
    serde_json::from_str(&read("ids.json")).expect("schemas/ids.json is a list of schemas")
}

fn released() -> Vec<Schema> {
    rows()
        .iter()
        .map(|row| Schema::parse_str(&read(&row.file)).unwrap_or_else(|e| panic!("{}: {e}", row.file)))
        .collect()
}

#[test]
fn every_example_encodes_to_exactly_its_committed_bytes() {
    for name in example_names() {
        let bytes = avro::encode(&example(&name));
        assert!(
            schemas(&format!("payment_event/examples/{name}.hex")).exists(),
            "{name}.json has no {name}.hex beside it. Written by this build it would be:\n{}",
            hex(&bytes)
        );
        assert_eq!(hex(&bytes), hex(&example_bytes(&name)), "{name}");
    }
}

#[test]
fn every_example_decodes_from_its_committed_bytes() {
    for name in example_names() {
        let event = avro::decode(&example_bytes(&name), SchemaTable::built_in());
        assert_eq!(event, Ok(example(&name)), "{name}");
    }
}

#[test]
fn the_examples_cover_what_other_languages_get_wrong() {
    let events: Vec<Event> = example_names().iter().map(|name| example(name)).collect();
    let some = |what: &str, is: fn(&Event) -> bool| assert!(events.iter().any(is), "no example {what}");
    some("with every field", |e| e.correlation_id.is_some() && e.causation_id.is_some() && e.metadata.len() > 1);
    some("with no optional field", |e| e.merchant_id.is_none() && e.sequence.is_none() && e.metadata.is_empty());
    some("of exponent 0", |e| e.currency.exponent() == 0);
    some("of exponent 3", |e| e.currency.exponent() == 3);
    some("with the largest amount", |e| e.amount_minor == (1 << 53) - 1);
    some("before 1970", |e| e.occurred_at.0 < 0);
    some("that is a refund", |e| e.event_type.as_str() == "refund.succeeded");
    some("of a type that v1 does not know", |e| e.event_type.as_str() == "payment.tokenized");
}

#[test]
fn the_table_of_ids_only_ever_grew_ids_are_unique_and_versions_have_no_gap() {
    let rows = rows();
    let ids: BTreeSet<u32> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "an id stands twice");
    assert!(rows.is_sorted_by_key(|row| row.id), "rows are appended, so ids ascend");
    // Released rows, for ever. A new one is appended here too.
    let first: Vec<_> = rows.iter().map(|r| (r.id, &*r.subject, r.version, &*r.file)).take(1).collect();
    assert_eq!(first, [(1, "payment_event", 1, "payment_event/1.avsc")]);
    let mut versions: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for row in &rows {
        versions.entry(&row.subject).or_default().push(row.version);
        assert_eq!(row.file, format!("{}/{}.avsc", row.subject, row.version));
    }
    for (subject, versions) in versions {
        assert!(versions.iter().copied().eq(1..=versions.len() as u32), "{subject}: {versions:?}");
    }
}

#[test]
fn every_schema_file_is_in_the_table_and_in_this_build() {
    let files = std::fs::read_dir(schemas("payment_event")).expect("schemas/payment_event");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let on_disk: BTreeSet<String> =
        names.filter(|name| name.ends_with(".avsc")).map(|name| format!("payment_event/{name}")).collect();
    let in_table: BTreeSet<String> = rows().into_iter().map(|row| row.file).collect();
    assert_eq!(on_disk, in_table);
    for row in rows() {
        assert!(SchemaTable::built_in().writer(SchemaId(row.id)).is_some(), "{row:?}");
    }
    assert!(rows().iter().any(|row| SchemaId(row.id) == WRITER_ID));
}

#[test]
fn version_1_is_what_was_released() {
    // Docs may be corrected; anything that changes a byte or a default may not.
    let schema: serde_json::Value = serde_json::from_str(&read("payment_event/1.avsc")).expect("JSON");
    assert_eq!((&schema["namespace"], &schema["name"]), (&"payments.v1".into(), &"PaymentEvent".into()));
    let fields = schema["fields"].as_array().expect("fields").iter();
    let told = fields.map(|field| match field.get("default") {
        Some(default) => format!("{} {} = {default}", field["name"], field["type"]),
        None => format!("{} {}", field["name"], field["type"]),
    });
    let wanted = [
        r#""event_id" {"logicalType":"uuid","type":"string"}"#,
        r#""event_type" "string""#,
        r#""payment_id" {"logicalType":"uuid","type":"string"}"#,
        r#""user_id" "string""#,
        r#""merchant_id" ["null","string"] = null"#,
        r#""operation_id" ["null",{"logicalType":"uuid","type":"string"}] = null"#,
        r#""sequence" ["null","long"] = null"#,
        r#""amount_minor" "long""#,
        r#""currency" "string""#,
        r#""occurred_at" {"logicalType":"timestamp-micros","type":"long"}"#,
        r#""source" "string""#,
        r#""correlation_id" ["null","string"] = null"#,
        r#""causation_id" ["null","string"] = null"#,
        r#""metadata" {"type":"map","values":"string"} = {}"#,
    ];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
}

#[test]
fn every_pair_of_released_versions_reads_each_other() {
    let released = released();
    for (at, a) in released.iter().enumerate() {
        for (other, b) in released.iter().enumerate() {
            let verdict = SchemaCompatibility::can_read(a, b);
            assert_eq!(verdict.ok(), Some(Compatibility::Full), "row {at} written, row {other} reads");
        }
    }
}

proptest! {
    #[test]
    fn an_encoded_event_decodes_to_itself(event in any_event()) {
        prop_assert_eq!(avro::decode(&avro::encode(&event), SchemaTable::built_in()), Ok(event));
    }

    /// Another reader and another writer, from the generic values of `apache-avro`.
    #[test]
    fn the_generic_reader_and_writer_of_apache_avro_agree(event in any_event()) {
        let schema = &released()[0];
        let encoded = avro::encode(&event);
        let (frame, mut body) = encoded.split_at(5);
        prop_assert_eq!(frame, [0, 0, 0, 0, 1]);
        let reader = GenericDatumReader::builder(schema).build().expect("a reader");
        let read = reader.read_value(&mut body).expect("a value");
        prop_assert!(body.is_empty());
        prop_assert_eq!(&read, &generic(&event));
        // A map of several entries has no order of its own there.
        if event.metadata.len() <= 1 {
            let writer = GenericDatumWriter::builder(schema).build().expect("a writer");
            prop_assert_eq!(writer.write_value_to_vec(generic(&event)).expect("bytes"), &encoded[5..]);
        }
    }
}

fn generic(event: &Event) -> Value {
    let text = |value: &str| Value::String(value.to_owned());
    let optional = |value: Option<Value>| match value {
        Some(value) => Value::Union(1, Box::new(value)),
        None => Value::Union(0, Box::new(Value::Null)),
    };
    let metadata = event.metadata.iter().map(|(key, value)| (key.to_string(), text(value))).collect();
    let fields = [
        ("event_id", Value::Uuid(event.event_id.0)),
        ("event_type", text(event.event_type.as_str())),
        ("payment_id", Value::Uuid(event.payment_id.0)),
        ("user_id", text(event.user_id.as_str())),
        ("merchant_id", optional(event.merchant_id.as_ref().map(|m| text(m.as_str())))),
        ("operation_id", optional(event.operation_id.map(|id| Value::Uuid(id.0)))),
        ("sequence", optional(event.sequence.map(Value::Long))),
        ("amount_minor", Value::Long(event.amount_minor)),
        ("currency", text(event.currency.code())),
        ("occurred_at", Value::TimestampMicros(event.occurred_at.0)),
        ("source", text(&event.source)),
        ("correlation_id", optional(event.correlation_id.as_deref().map(text))),
        ("causation_id", optional(event.causation_id.as_deref().map(text))),
        ("metadata", Value::Map(metadata)),
    ];
    Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

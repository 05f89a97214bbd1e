//! Old readers with new data and new readers with old data, with a version 2 made up for these tests.

mod common;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use common::{example, example_bytes, example_names, long, read, string};
use millrace_domain::event::Event;
use millrace_domain::reason::Rejection;
use millrace_wire::avro;
use millrace_wire::schemas::{SchemaId, SchemaTable};
use serde_json::json;

/// Adds fields with a default, in the middle and at the end, and drops two that have one.
fn version_2() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(&read("payment_event/1.avsc")).expect("JSON");
    let fields = schema["fields"].as_array_mut().expect("fields");
    fields.retain(|field| field["name"] != "causation_id" && field["name"] != "metadata");
    let channel = json!({"name": "channel", "type": ["null", "string"], "default": null});
    let limits = json!({"name": "limits", "type": {"type": "map", "values": "long"}, "default": {}});
    let risk = json!({
        "name": "risk",
        "type": ["null", {"type": "record", "name": "Risk", "fields": [
            {"name": "score", "type": "double"},
            {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}},
        ]}],
        "default": null,
    });
    let tags = json!({"name": "tags", "type": {"type": "array", "items": "string"}, "default": []});
    fields.insert(4, channel);
    fields.insert(7, limits);
    fields.extend([risk, tags]);
    schema.to_string()
}

fn both_versions() -> SchemaTable {
    let [one, two] = [read("payment_event/1.avsc"), version_2()];
    SchemaTable::parse([(SchemaId(1), one.as_str()), (SchemaId(2), two.as_str())]).expect("two schemas")
}

/// The event as a publisher of version 2 writes it, by `apache-avro`.
fn written_with_version_2(event: &Event, new_fields: bool) -> Vec<u8> {
    let [one, two] =
        [read("payment_event/1.avsc"), version_2()].map(|text| Schema::parse_str(&text).expect("a schema"));
    let encoded = avro::encode(event);
    let reader = GenericDatumReader::builder(&one).reader_schema(&two).build().expect("a reader");
    let Value::Record(mut fields) = reader.read_value(&mut &encoded[5..]).expect("version 1 resolves to 2") else {
        panic!("an event is a record");
    };
    if new_fields {
        let some = |value| Value::Union(1, Box::new(value));
        let risk = [("score", Value::Double(0.25)), ("level", Value::Enum(1, "HIGH".into()))];
        let of = |text: &str| Value::String(text.into());
        for (name, value) in &mut fields {
            match name.as_str() {
                "channel" => *value = some(of("web")),
                "limits" => *value = Value::Map([("day".to_owned(), Value::Long(-1))].into()),
                "risk" => *value = some(Value::Record(risk.clone().map(|(n, v)| (n.to_owned(), v)).into())),
                "tags" => *value = Value::Array(vec![of("a"), of("b")]),
                _ => {}
            }
        }
    }
    let writer = GenericDatumWriter::builder(&two).build().expect("a writer");
    let body = writer.write_value_to_vec(Value::Record(fields)).expect("version 2 writes it");
    [vec![0, 0, 0, 0, 2], body].concat()
}

fn without_what_2_dropped(event: &Event) -> Event {
    Event { causation_id: None, metadata: Default::default(), ..event.clone() }
}

#[test]
fn the_made_up_version_2_reads_and_is_read_by_version_1() {
    let [one, two] =
        [read("payment_event/1.avsc"), version_2()].map(|text| Schema::parse_str(&text).expect("a schema"));
    assert_eq!(SchemaCompatibility::mutual_read(&one, &two).ok(), Some(Compatibility::Full));
}

#[test]
fn the_check_between_versions_finds_a_version_that_breaks() {
    let one = Schema::parse_str(&read("payment_event/1.avsc")).expect("a schema");
    let without_amount = read("payment_event/1.avsc").replace(r#""amount_minor""#, r#""amount""#);
    let broken = Schema::parse_str(&without_amount).expect("a schema");
    assert!(SchemaCompatibility::can_read(&one, &broken).is_err());
    assert!(SchemaCompatibility::can_read(&broken, &one).is_err());
}

#[test]
fn an_old_reader_reads_new_data_passing_over_what_it_does_not_know() {
    for name in example_names() {
        let event = example(&name);
        for new_fields in [true, false] {
            let value = written_with_version_2(&event, new_fields);
            assert_eq!(avro::decode(&value, &both_versions()), Ok(without_what_2_dropped(&event)), "{name}");
        }
    }
}

#[test]
fn a_table_that_knows_both_versions_reads_old_data_as_it_was() {
    for name in example_names() {
        assert_eq!(avro::decode(&example_bytes(&name), &both_versions()), Ok(example(&name)), "{name}");
    }
}

#[test]
fn new_data_cut_off_or_overlong_is_refused_by_an_old_reader_too() {
    let table = both_versions();
    let value = written_with_version_2(&example("full"), true);
    for length in 0..value.len() {
        assert!(avro::decode(&value[..length], &table).is_err(), "{length} bytes accepted");
    }
    assert!(avro::decode(&[value, vec![0]].concat(), &table).is_err());
}

#[test]
fn a_field_that_is_passed_over_may_come_in_sized_blocks() {
    let value = written_with_version_2(&example("full"), true);
    let entries = [string("day"), long(-1)].concat();
    let plain = [long(1), entries.clone(), long(0)].concat();
    let sized = [long(-1), long(entries.len() as i64), entries, long(0)].concat();
    let at = value.windows(plain.len()).position(|part| part == plain).expect("the limits");
    let value = [&value[..at], &sized, &value[at + plain.len()..]].concat();
    assert_eq!(avro::decode(&value, &both_versions()), Ok(without_what_2_dropped(&example("full"))));
}

#[test]
fn a_reader_without_version_2_says_that_it_does_not_know_it() {
    let value = written_with_version_2(&example("full"), true);
    let refusal = avro::decode(&value, SchemaTable::built_in()).expect_err("id 2 is made up");
    assert_eq!(refusal.reason, Rejection::UnknownSchema);
}

#[test]
fn a_schema_that_cannot_be_read_is_named_by_its_id() {
    let error = SchemaTable::parse([(SchemaId(9), "{\"type\": \"rekord\"}")]).err().expect("no schema");
    assert!(error.to_string().starts_with("schema 9: "), "{error}");
}

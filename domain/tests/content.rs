//! What two events under one id are compared by, and how old an id may be.

use millrace_domain::content::ContentHash;
use millrace_domain::event::{Draft, Event};
use millrace_domain::ids::{EventId, Micros};
use millrace_domain::window::AcceptedWindow;
use uuid::Uuid;

fn event(edit: impl FnOnce(&mut Draft<'static>)) -> Event {
    let mut draft = Draft {
        event_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        event_type: "payment.captured".into(),
        payment_id: "6f9619ff-8b86-4011-b42d-00c04fc964ff".into(),
        user_id: "u".into(),
        merchant_id: Some("m".into()),
        operation_id: Some("7d444840-9dc0-11d1-b245-5ffdce74fad2".into()),
        sequence: Some(2),
        amount_minor: 100,
        currency: "GBP".into(),
        source: "s".into(),
        ..Draft::default()
    };
    edit(&mut draft);
    draft.check().expect("well formed")
}

fn same_content(edit: impl FnOnce(&mut Draft<'static>)) -> bool {
    ContentHash::of(&event(|_| {})) == ContentHash::of(&event(edit))
}

#[test]
fn the_content_hash_covers_each_field_that_says_something() {
    assert!(!same_content(|d| d.event_type = "payment.charged".into()));
    assert!(!same_content(|d| d.event_type = "payment.tokenized".into()));
    assert!(!same_content(|d| d.payment_id = "6f9619ff-8b86-4011-b42d-00c04fc964fe".into()));
    assert!(!same_content(|d| d.user_id = "v".into()));
    assert!(!same_content(|d| d.merchant_id = Some("n".into())));
    assert!(!same_content(|d| d.operation_id = Some("7d444840-9dc0-11d1-b245-5ffdce74fad3".into())));
    assert!(!same_content(|d| d.operation_id = None));
    assert!(!same_content(|d| d.sequence = Some(3)));
    assert!(!same_content(|d| d.sequence = None));
    assert!(!same_content(|d| d.amount_minor = 101));
    assert!(!same_content(|d| d.currency = "JPY".into()));
    assert!(!same_content(|d| d.occurred_at_micros = 1));
    assert!(!same_content(|d| d.source = "t".into()));
    let unnamed = |merchant: Option<&'static str>| {
        ContentHash::of(&event(|d| {
            d.event_type = "payment.voided".into();
            d.merchant_id = merchant.map(Into::into);
        }))
    };
    assert_ne!(unnamed(None), unnamed(Some("m")));
}

#[test]
fn the_content_hash_leaves_out_what_a_retry_may_change() {
    assert!(same_content(|d| d.event_id = "01890a5d-ac96-774b-bcce-b302099a8058".into()));
    assert!(same_content(|d| d.correlation_id = Some("again".into())));
    assert!(same_content(|d| d.causation_id = Some("again".into())));
    assert!(same_content(|d| d.metadata = vec![("try".into(), "2".into())]));
}

#[test]
fn the_content_hash_is_of_values_and_not_of_their_spelling() {
    assert!(same_content(|d| d.payment_id = "6F9619FF-8B86-4011-B42D-00C04FC964FF".into()));
    assert!(same_content(|d| d.operation_id = Some("7D444840-9DC0-11D1-B245-5FFDCE74FAD2".into())));
}

#[test]
fn neighbouring_texts_do_not_flow_into_each_other() {
    let of = |user: &'static str, source: &'static str| {
        ContentHash::of(&event(|d| {
            d.user_id = user.into();
            d.source = source.into();
        }))
    };
    assert_ne!(of("ab", "c"), of("a", "bc"));
}

#[test]
fn the_accepted_window_includes_both_its_ends_to_the_millisecond() {
    let window = AcceptedWindow { back_ms: 1_000, ahead_ms: 100 };
    let id = |unix_ms: u128| EventId(Uuid::from_u128(unix_ms << 80 | 7 << 76 | 2 << 62));
    let now = Micros(5_000_999);
    assert_eq!(window.bounds_ms(now), (4_000, 5_100));
    for (unix_ms, accepted) in [(3_999, false), (4_000, true), (5_000, true), (5_100, true), (5_101, false)] {
        assert_eq!(window.contains(id(unix_ms), now), accepted, "{unix_ms}");
    }
}

#[test]
fn a_window_wider_than_time_itself_accepts_every_id() {
    let window = AcceptedWindow { back_ms: i64::MAX, ahead_ms: i64::MAX };
    for unix_ms in [0, (1 << 48) - 1] {
        let id = EventId(Uuid::from_u128(unix_ms << 80 | 7 << 76 | 2 << 62));
        for now in [i64::MIN, 0, i64::MAX] {
            assert!(window.contains(id, Micros(now)), "{unix_ms} at {now}");
        }
    }
}

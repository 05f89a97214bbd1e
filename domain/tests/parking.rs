//! Parked events: what makes them move, in which order, and what happens when the parking limit passes.

mod script;
use script::check;

#[test]
fn the_missing_number_drains_what_waited_behind_it_in_the_order_of_the_numbers() {
    check(
        "d: payment.captured 4 seq=5    => parked missing_sequence
         b: payment.captured 2 seq=3    => parked missing_sequence
         a: payment.captured 1 seq=2    => parked missing_sequence
         parked a b d
         payment.authorized 100 seq=1   => applied 1; a applied 2; b applied 3
         parked d
         payment.captured 3 seq=4       => applied 4; d applied 5
         parked
         used 5",
    );
}

#[test]
fn an_event_that_is_rejected_or_parked_past_rule_4_lets_the_next_number_go() {
    check(
        "b: payment.captured 1 seq=2    => parked missing_sequence
         a: payment.teleported 1 seq=1  => parked unknown_type; b parked missing_authorization
         parked a b
         payment.authorized 100         => applied 1; b applied 2
         parked a",
    );
    check(
        "payment.charged 100            => applied
         b: fee.charged 1 seq=2         => parked missing_sequence
         payment.captured 1 seq=1       => rejected capture_exceeds_authorized; b applied",
    );
}

#[test]
fn numbered_events_are_drained_before_the_others_and_those_by_offset() {
    check(
        "a: payment.captured 1          => parked missing_authorization
         b: payment.captured 2          => parked missing_authorization
         c: payment.captured 3 seq=1    => parked missing_authorization
         parked c a b
         payment.authorized 100         => applied; c applied; a applied; b applied",
    );
}

#[test]
fn draining_begins_from_the_first_again_after_each_that_moves() {
    // The capture stands behind the refund and the fee in the order, and lets both go.
    check(
        "r: refund.succeeded 5 seq=1    => parked missing_capture
         f: fee.charged 1               => parked missing_capture
         c: payment.captured 10         => parked missing_authorization
         payment.authorized 100         => applied; c applied; r applied; f applied
         parked",
    );
    // The capture is first, then uses up what the second wanted.
    check(
        "a: payment.captured 60         => parked missing_authorization
         b: payment.captured 60         => parked missing_authorization
         c: payment.captured 40         => parked missing_authorization
         payment.authorized 100         => applied; a applied; b rejected capture_exceeds_authorized; c applied
         parked",
    );
}

#[test]
fn one_that_waited_for_its_number_meets_rules_3_to_8_again() {
    check(
        "payment.authorized 100 seq=1                => applied
         a: payment.captured 10 seq=3 user=other     => parked missing_sequence
         b: payment.captured 10 seq=4 op=c           => parked missing_sequence
         c: payment.teleported 1 seq=5               => parked missing_sequence
         payment.captured 10 seq=2 op=c              => applied 2; a rejected owner_mismatch (number used); \
           b duplicate; c parked unknown_type
         parked c
         used 5",
    );
}

#[test]
fn an_event_that_only_goes_on_waiting_is_not_an_outcome() {
    check(
        "a: refund.failed 5 op=r                     => parked missing_operation
         b: payment.captured 5 seq=9                 => parked missing_sequence
         payment.authorized 100                      => applied
         payment.captured 10                         => applied
         payment.captured 200                        => rejected capture_exceeds_authorized
         parked b a",
    );
}

#[test]
fn after_the_parking_limit_the_earliest_is_rejected_first() {
    check(
        "hour 2
         late: payment.captured 5                    => parked missing_authorization
         hour 1
         early: refund.failed 5 op=r                 => parked missing_operation
         type: payment.teleported 5                  => parked unknown_type
         hour 3
         young: payment.captured 6                   => parked missing_authorization
         expire 3                                    => early rejected missing_predecessor (number free); \
           type rejected unknown_type; late rejected missing_predecessor
         parked young",
    );
}

#[test]
fn what_was_parked_at_the_limit_itself_may_stay() {
    check(
        "hour 1
         a: payment.captured 5                       => parked missing_authorization
         expire 1
         parked a
         expire 2                                    => a rejected missing_predecessor",
    );
}

#[test]
fn the_numbers_up_to_that_of_an_expired_event_are_used_up_and_what_waited_behind_goes_on() {
    check(
        "hour 1
         c: payment.captured 5 seq=5                 => parked missing_sequence
         hour 2
         d: payment.authorized 9 seq=6               => parked missing_sequence
         f: payment.captured 9 seq=8                 => parked missing_sequence
         expire 2                                    => c rejected missing_predecessor (number used); d applied 1
         used 6
         parked f
         payment.captured 1 seq=3                    => rejected sequence_conflict (number free)",
    );
}

#[test]
fn one_that_waits_with_a_number_below_that_of_an_expired_event_is_too_late() {
    check(
        "hour 1
         c: payment.captured 5 seq=5                 => parked missing_sequence
         hour 2
         b: payment.captured 5 seq=3                 => parked missing_sequence
         expire 2                                    => c rejected missing_predecessor; \
           b rejected sequence_conflict (number free)
         parked",
    );
}

#[test]
fn an_expired_event_without_a_number_moves_nothing() {
    check(
        "a: refund.failed 5 op=r                     => parked missing_operation
         b: payment.captured 5 seq=3                 => parked missing_sequence
         hour 1
         c: refund.failed 6 op=s                     => parked missing_operation
         expire 1                                    => a rejected missing_predecessor; \
           b rejected missing_predecessor
         used 3
         parked c",
    );
}

#[test]
fn once_expired_the_operation_is_free_again() {
    check(
        "a: refund.failed 5 op=r                     => parked missing_operation
         refund.failed 6 op=r                        => rejected operation_conflict
         expire 1                                    => a rejected missing_predecessor
         refund.failed 6 op=r                        => parked missing_operation",
    );
}

#[test]
fn a_type_that_a_newer_worker_knows_is_judged_when_it_claims_the_lane() {
    check(
        "a: not-yet:payment.captured 60 seq=1         => parked unknown_type
         b: not-yet:payment.authorized 100 seq=2      => parked unknown_type
         f: fee.charged 1                             => parked missing_capture
         claim                                        => a parked missing_authorization; b applied 1; a applied 2; \
           f applied 3
         used 2",
    );
}

#[test]
fn once_its_type_is_known_an_event_keeps_the_rules_of_form_that_the_type_adds() {
    check(
        "a: not-yet:payment.authorized 0              => parked unknown_type
         b: not-yet:payment.captured 5 merchant=-     => parked unknown_type
         c: not-yet:refund.failed 5                   => parked unknown_type
         claim                                        => a rejected malformed; b rejected malformed; \
           c rejected malformed",
    );
}

#[test]
fn two_that_say_the_same_of_an_operation_apply_once_when_their_type_becomes_known() {
    // Neither met rule 7 when it came, for rule 6 was first: money must still not move twice.
    check(
        "payment.authorized 100                       => applied
         a: not-yet:payment.captured 40 op=c          => parked unknown_type
         b: not-yet:payment.captured 40 op=c          => parked unknown_type
         c: not-yet:payment.captured 41 op=c          => parked unknown_type
         claim                                        => a applied; b duplicate; c rejected operation_conflict
         state partially_captured authorized=100 captured=40",
    );
    check(
        "a: not-yet:payment.captured 40 op=c          => parked unknown_type
         b: not-yet:payment.captured 40 op=c          => parked unknown_type
         claim                                        => a parked missing_authorization; b duplicate
         parked a",
    );
}

#[test]
fn a_number_that_another_lane_used_up_is_not_used_again_by_what_waits_too_long_for_it() {
    // Two lanes of one user, as behind a growth of the topic; both find at the same moment that their event is too old.
    check(
        "a: payment.authorized 100 seq=3   => parked missing_sequence
         b: payment.captured 100 seq=5     => parked missing_sequence
         used-elsewhere 3
         hour 80
         expire 1                          => a rejected sequence_conflict (number free); \
           b rejected missing_predecessor (number used)
         used 5",
    );
}

/// Each of these operations is looked for among all that is parked, each time that something moves.
#[test]
fn thousands_that_wait_for_one_event_are_drained_in_their_order() {
    const EACH: usize = 1_000;
    let mut script = String::new();
    for n in 0..EACH {
        script += &format!("f{n}: refund.failed 1 op=r{n} => parked missing_operation\n");
    }
    for n in 0..EACH {
        script += &format!("c{n}: payment.captured 1 => parked missing_authorization\n");
    }
    let drained: Vec<String> = (0..EACH).map(|n| format!("c{n} applied")).collect();
    script += &format!("payment.authorized {EACH} => applied; {}\n", drained.join("; "));
    let waiting: Vec<String> = (0..EACH).map(|n| format!("f{n}")).collect();
    script += &format!("state captured authorized={EACH} captured={EACH}\nparked {}\n", waiting.join(" "));
    // Rule 7 still meets them.
    script += "refund.failed 1 op=r500 => duplicate\nrefund.failed 2 op=r500 => rejected operation_conflict\n";
    check(&script);
}

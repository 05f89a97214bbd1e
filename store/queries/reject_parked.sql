-- Parked events that became dead letters: the record moves over whole.
WITH gone AS (
    DELETE FROM millrace.parked AS p
    USING unnest($1::uuid[], $2::text[], $3::boolean[], $4::text[]) AS n (event_id, reason, number_used, detail)
    WHERE p.event_id = n.event_id
    RETURNING p.*, n.reason AS rejected_for, n.number_used, n.detail
)
INSERT INTO millrace.dead_letters (
    partition, "offset", reason, detail, event_id, payment_id, number_used, was_parked, published_at,
    key, value, header_names, header_values
)
SELECT partition, "offset", rejected_for, 'was parked as ' || reason || ' since ' || since || '; ' || detail, event_id, payment_id,
       number_used, true, published_at, key, value, header_names, header_values
FROM gone

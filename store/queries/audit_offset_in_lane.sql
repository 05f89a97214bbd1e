-- Every row's offset lies where its lane has been: at or after start_offset, before next_offset.
WITH places AS (
    SELECT partition, "offset", 'events' AS kind, event_id FROM millrace.events
    UNION ALL
    SELECT partition, "offset", 'parked', event_id FROM millrace.parked
    UNION ALL
    SELECT partition, "offset", 'dead_letters', event_id FROM millrace.dead_letters
),
violations AS (
    SELECT format('%s has partition %s, offset %s (event %s); %s', p.kind, p.partition, p."offset",
                  coalesce(p.event_id::text, 'unknown'),
                  CASE WHEN l.partition IS NULL THEN 'the partition has no lane'
                       ELSE format('the lane has been from %s to %s', l.start_offset, l.next_offset) END) AS example
    FROM places AS p
    LEFT JOIN millrace.lanes AS l ON l.partition = p.partition
    WHERE l.partition IS NULL OR p."offset" < l.start_offset OR p."offset" >= l.next_offset
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

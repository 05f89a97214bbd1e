-- What was not parked applies in offset order. An event whose version comes after that of a later offset of its payment
-- was parked first: the proof row at its own offset must have parked at least as many. Exact where a batch parked
-- nothing; where it parked some, it does not say which.
WITH ordered AS (
    SELECT event_id, payment_id, partition, "offset",
           max("offset") OVER (
               PARTITION BY payment_id, partition ORDER BY version
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS furthest_before
    FROM millrace.events
),
late AS (
    SELECT o.*, b.batch_id, b.parked
    FROM ordered AS o
    JOIN millrace.lanes AS l ON l.partition = o.partition
    LEFT JOIN LATERAL (
        SELECT batch_id, parked
        FROM millrace.batches
        WHERE batches.topic_id = l.topic_id AND batches.partition = o.partition
          AND batches.from_offset <= o."offset" AND batches.to_offset > batches.from_offset
        ORDER BY batches.from_offset DESC
        LIMIT 1
    ) AS b ON true
    WHERE o."offset" < o.furthest_before
),
violations AS (
    SELECT format('partition %s: %s events were applied after later offsets of their payments, and proof row %s parked '
                  '%s; the first: event %s of payment %s at offset %s',
                  partition, count(*), coalesce(batch_id::text, '(none)'), coalesce(parked, 0),
                  (array_agg(event_id ORDER BY "offset"))[1], (array_agg(payment_id ORDER BY "offset"))[1],
                  min("offset")) AS example
    FROM late
    GROUP BY partition, batch_id, parked
    HAVING count(*) > coalesce(parked, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

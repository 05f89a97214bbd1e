-- From the record's timestamp in Kafka to the last statement before COMMIT of the batch that accounts for it, for the
-- applied events of a range of offsets by partition: $1 partitions, $2 first offsets, $3 the offsets behind the last.
SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99, 1.0]) WITHIN GROUP (
           ORDER BY extract(epoch FROM batch.committed_at - event.published_at)::float8 * 1000
       ) AS milliseconds,
       count(*) AS events
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS range (partition, first, behind)
JOIN millrace.lanes AS lane ON lane.partition = range.partition
JOIN millrace.events AS event
    ON event.partition = range.partition AND event."offset" >= range.first AND event."offset" < range.behind
CROSS JOIN LATERAL (
    SELECT committed_at
    FROM millrace.batches AS b
    WHERE b.topic_id = lane.topic_id AND b.partition = range.partition
      AND b.from_offset <= event."offset" AND b.to_offset > b.from_offset
    ORDER BY b.from_offset DESC
    LIMIT 1
) AS batch

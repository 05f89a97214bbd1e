-- All lanes, proof rows and accepted gaps are of one topic, by its id: offsets of another would mix with it.
WITH violations AS (
    SELECT format('partition %s: proof row %s is of topic id %s, the lane of %s',
                  b.partition, b.batch_id, b.topic_id, l.topic_id) AS example
    FROM millrace.batches AS b
    JOIN millrace.lanes AS l ON l.partition = b.partition
    WHERE b.topic_id <> l.topic_id
    UNION ALL
    SELECT format('partition %s: accepted gap %s is of topic id %s, the lane of %s',
                  g.partition, g.gap_id, g.topic_id, l.topic_id)
    FROM millrace.accepted_gaps AS g
    JOIN millrace.lanes AS l ON l.partition = g.partition
    WHERE g.topic_id <> l.topic_id
    UNION ALL
    SELECT format('the lanes are of %s topics: %s', count(DISTINCT (topic, topic_id)),
                  string_agg(DISTINCT topic || ' (' || topic_id || ')', ', '))
    FROM millrace.lanes
    HAVING count(DISTINCT (topic, topic_id)) > 1
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

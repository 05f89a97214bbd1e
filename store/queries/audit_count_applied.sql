-- By partition, the event log has as many rows as the proof rows applied and drained as applied.
WITH said AS (
    SELECT partition, sum(applied + drained_applied) AS n FROM millrace.batches GROUP BY partition
),
stands AS (
    SELECT partition, count(*) AS n FROM millrace.events GROUP BY partition
),
violations AS (
    SELECT format('partition %s: the proof rows say %s applied, events has %s',
                  partition, coalesce(said.n, 0), coalesce(stands.n, 0)) AS example
    FROM said
    FULL JOIN stands USING (partition)
    WHERE coalesce(said.n, 0) <> coalesce(stands.n, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

-- By partition, parked has as many rows as the proof rows parked and did not drain.
WITH said AS (
    SELECT partition, sum(parked - drained_applied - drained_duplicate - drained_rejected) AS n
    FROM millrace.batches
    GROUP BY partition
),
stands AS (
    SELECT partition, count(*) AS n FROM millrace.parked GROUP BY partition
),
violations AS (
    SELECT format('partition %s: the proof rows say %s still parked, parked has %s',
                  partition, coalesce(said.n, 0), coalesce(stands.n, 0)) AS example
    FROM said
    FULL JOIN stands USING (partition)
    WHERE coalesce(said.n, 0) <> coalesce(stands.n, 0)
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

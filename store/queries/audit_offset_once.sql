-- Each offset stands in at most one of events, parked and dead_letters, once.
WITH places AS (
    SELECT partition, "offset", 'events' AS kind FROM millrace.events
    UNION ALL
    SELECT partition, "offset", 'parked' FROM millrace.parked
    UNION ALL
    SELECT partition, "offset", 'dead_letters' FROM millrace.dead_letters
),
violations AS (
    SELECT format('partition %s, offset %s: %s rows, in %s', partition, "offset", count(*),
                  CASE WHEN min(kind) = max(kind) THEN min(kind) ELSE min(kind) || ' and ' || max(kind) END) AS example
    FROM places
    GROUP BY partition, "offset"
    HAVING count(*) > 1
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

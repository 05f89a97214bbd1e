-- The versions of a payment's events run from 1 without gap or repetition up to the version in its row, which names
-- the first of them.
WITH log AS (
    SELECT payment_id, count(*) AS n, min(version) AS first, max(version) AS last,
           count(DISTINCT version) AS distinct_versions,
           (array_agg(event_id ORDER BY version))[1] AS first_event_id
    FROM millrace.events
    GROUP BY payment_id
),
violations AS (
    SELECT format('payment %s: its row says version %s, its %s events have %s different versions from %s to %s, '
                  'the first is %s and its row names %s',
                  payment_id, coalesce(p.version::text, 'nothing (there is no row)'), coalesce(log.n, 0),
                  coalesce(log.distinct_versions, 0), coalesce(log.first, 0), coalesce(log.last, 0),
                  log.first_event_id, p.first_event_id) AS example
    FROM millrace.payments AS p
    FULL JOIN log USING (payment_id)
    WHERE coalesce(p.version, 0) <> coalesce(log.n, 0)
       OR log.first <> 1 OR log.last <> log.n OR log.distinct_versions <> log.n
       OR p.first_event_id IS DISTINCT FROM log.first_event_id
)
SELECT count(*) OVER () AS violations, example FROM violations LIMIT 5

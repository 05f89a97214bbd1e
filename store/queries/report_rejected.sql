-- Dead letters by reason, and how many nobody has handled yet.
SELECT reason, count(*) AS count, count(*) FILTER (WHERE handling = 'open') AS open
FROM millrace.dead_letters
GROUP BY reason
ORDER BY count DESC, reason

-- One at a time: held until the connection ends.
SELECT pg_try_advisory_lock(hashtext($1))

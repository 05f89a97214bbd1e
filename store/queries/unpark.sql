-- Parked events that were applied or turned out duplicates.
DELETE FROM millrace.parked WHERE event_id = ANY ($1)

-- Keeps what a person did with open dead letters.
UPDATE millrace.dead_letters
SET handling = $2, handled_at = clock_timestamp(), handled_by = $3, note = $4
WHERE dead_letter_id = ANY ($1) AND handling = 'open'
RETURNING dead_letter_id

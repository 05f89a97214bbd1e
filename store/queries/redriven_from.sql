-- For redriven records: the record that the dead letter keeps, and whether it used its number up.
SELECT dead_letter_id, value, number_used FROM millrace.dead_letters WHERE dead_letter_id = ANY ($1)

SELECT millrace.make_month($1, $2, $3)

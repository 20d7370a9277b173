-- A user's summary and its version.
SELECT summary, version FROM summaries WHERE user_id = %(user_id)s

-- Deletes all that is kept of a user, and says how many turns that were.
WITH turns AS (
    DELETE FROM messages WHERE user_id = %(user_id)s::text RETURNING 1
), summary AS (
    DELETE FROM summaries WHERE user_id = %(user_id)s::text
)
SELECT count(*) FROM turns

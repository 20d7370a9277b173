-- The last turns asked for, and those the cache wants beside them, in order, each with the position before it.
WITH wanted AS (
    (SELECT position FROM messages
     WHERE user_id = %(user_id)s::text
     ORDER BY position DESC LIMIT %(cached_turns)s)
    UNION
    (SELECT position FROM messages
     WHERE user_id = %(user_id)s::text AND (%(session_id)s::text IS NULL OR session_id = %(session_id)s::text)
     ORDER BY position DESC LIMIT %(last_turns)s)
)
SELECT
    position,
    (SELECT max(earlier.position) FROM messages AS earlier
     WHERE earlier.user_id = %(user_id)s::text AND earlier.position < wanted.position) AS previous,
    session_id, role, content, turn_id, channel_id, created_at, token_count
FROM wanted JOIN messages USING (position)
WHERE user_id = %(user_id)s::text
ORDER BY position

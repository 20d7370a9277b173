-- Saves turns and says where they stand. A turn that is there already is left as it is and answered like a new one
-- (the update changes nothing, it makes RETURNING see the row); one with other content is not answered at all.
WITH saved AS (
    INSERT INTO messages (user_id, session_id, turn_id, role, content, channel_id, created_at, token_count)
    SELECT %(user_id)s::text, %(session_id)s::text, turn_id, role, content, channel_id, created_at, token_count
    FROM unnest(
        %(turn_ids)s::text[], %(roles)s::text[], %(contents)s::text[], %(channel_ids)s::text[],
        %(created_ats)s::timestamptz[], %(token_counts)s::integer[]
    ) WITH ORDINALITY AS turn (turn_id, role, content, channel_id, created_at, token_count, place)
    ORDER BY place
    ON CONFLICT (user_id, session_id, turn_id) DO UPDATE SET turn_id = excluded.turn_id
    WHERE (messages.role, messages.content) = (excluded.role, excluded.content)
    RETURNING turn_id, position
)
SELECT
    turn_id,
    position,
    (SELECT max(earlier.position) FROM messages AS earlier
     WHERE earlier.user_id = %(user_id)s::text AND earlier.position < saved.position) AS previous
FROM saved
ORDER BY position

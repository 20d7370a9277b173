-- Saves any number of turns that may or may not be there, and says how many were not.
WITH added AS (
    INSERT INTO messages (user_id, session_id, turn_id, role, content, channel_id, created_at, token_count)
    SELECT %(user_id)s::text, session_id, turn_id, role, content, channel_id, created_at, token_count
    FROM unnest(
        %(session_ids)s::text[], %(turn_ids)s::text[], %(roles)s::text[], %(contents)s::text[],
        %(channel_ids)s::text[], %(created_ats)s::timestamptz[], %(token_counts)s::integer[]
    ) WITH ORDINALITY AS turn (session_id, turn_id, role, content, channel_id, created_at, token_count, place)
    ORDER BY place
    ON CONFLICT (user_id, session_id, turn_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM added

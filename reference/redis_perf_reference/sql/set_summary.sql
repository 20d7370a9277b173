-- Saves a summary. Its version grows with each change, also across deletion: no old copy passes for a new one.
INSERT INTO summaries (user_id, summary)
VALUES (%(user_id)s, %(summary)s)
ON CONFLICT (user_id) DO UPDATE SET summary = excluded.summary, version = DEFAULT
RETURNING version

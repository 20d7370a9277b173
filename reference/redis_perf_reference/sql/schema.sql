-- Every turn that was ever said. Postgres gives the position: it orders a user's turns across sessions.
CREATE TABLE IF NOT EXISTS messages (
    user_id     text        NOT NULL,
    session_id  text        NOT NULL,
    turn_id     text        NOT NULL,
    role        text        NOT NULL,
    content     text        NOT NULL,
    channel_id  text        NOT NULL,
    created_at  timestamptz NOT NULL,
    token_count integer     NOT NULL,
    position    bigint      GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (user_id, session_id, turn_id)
);

CREATE UNIQUE INDEX IF NOT EXISTS messages_in_order ON messages (user_id, position);

CREATE TABLE IF NOT EXISTS summaries (
    user_id text   PRIMARY KEY,
    summary text   NOT NULL,
    version bigint NOT NULL GENERATED ALWAYS AS IDENTITY
);

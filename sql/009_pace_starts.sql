-- The turns that were given to make a paid call: what a limit of calls a minute is counted by.

CREATE TABLE IF NOT EXISTS start_turns (
  request_id UUID NOT NULL,
  -- Until when the turn may be taken. NULL: it was, and the call was made or may be.
  valid_until TIMESTAMPTZ,
  -- No later than this its call reaches the provider.
  reaches_by TIMESTAMPTZ NOT NULL
);

-- How many count; which do no longer.
CREATE INDEX IF NOT EXISTS idx_start_turns_reaches
  ON start_turns (reaches_by);

-- Whose turn it is.
CREATE INDEX IF NOT EXISTS idx_start_turns_request
  ON start_turns (request_id);

INSERT INTO schema_migrations (name)
VALUES ('009_pace_starts')
ON CONFLICT (name) DO NOTHING;

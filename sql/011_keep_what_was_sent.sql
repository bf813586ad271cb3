-- What was asked for in Discord and handed to the queue, until it is a row: should the queue lose it,
-- it is sent again, and who waits for long is told so, whatever has become of the bot meanwhile.

CREATE TABLE IF NOT EXISTS sent_requests (
  request_id UUID PRIMARY KEY,
  -- The row that it is going to be.
  request JSONB NOT NULL,
  application_id TEXT NOT NULL,
  token TEXT NOT NULL,
  -- What its answer says as long as nobody has taken it up.
  told TEXT NOT NULL,
  sent_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  -- When a bot looks at it again.
  due_at TIMESTAMPTZ NOT NULL,
  -- Until when an edit of its answer may be under way.
  telling_until TIMESTAMPTZ,
  -- When it was told that it still waits.
  told_at TIMESTAMPTZ,
  expires_at TIMESTAMPTZ NOT NULL
);
-- As reply_tokens, and for the same reasons: it holds a secret, and nothing in it lives for long.
ALTER TABLE sent_requests SET UNLOGGED;

CREATE INDEX IF NOT EXISTS idx_sent_requests_due
  ON sent_requests (due_at);

INSERT INTO schema_migrations (name)
VALUES ('011_keep_what_was_sent')
ON CONFLICT (name) DO NOTHING;

-- What delivering an answer needs: who is at it, which are due, where the answer goes, and what
-- honest progress is measured against.

ALTER TABLE video_requests
  -- The task that delivers at this moment, or died doing so. NULL: nobody.
  ADD COLUMN IF NOT EXISTS delivery_claim UUID;

-- The sweeper's question, every second.
CREATE INDEX IF NOT EXISTS idx_video_requests_delivery_due
  ON video_requests (delivery_due_at)
  WHERE delivery_due_at IS NOT NULL;

-- How long such requests took of late, by the index alone.
CREATE INDEX IF NOT EXISTS idx_video_requests_experience
  ON video_requests (model, duration_seconds, completed_at DESC)
  INCLUDE (duration_ms)
  WHERE status = 'completed';

-- With which token a deferred answer can be edited, for the quarter of an hour that it lives. In a
-- table of its own, so that no read, record, event or export of a request holds it.
CREATE TABLE IF NOT EXISTS reply_tokens (
  request_id UUID PRIMARY KEY,
  application_id TEXT NOT NULL,
  token TEXT NOT NULL,
  expires_at TIMESTAMPTZ NOT NULL,
  -- The progress that was told last, and when.
  told TEXT,
  told_at TIMESTAMPTZ,
  -- Until when an edit that tells of progress may be under way.
  telling_until TIMESTAMPTZ,
  -- The final answer is on its way: no progress is told any more.
  closed BOOLEAN NOT NULL DEFAULT false
);
-- In no write-ahead log, and so on no replica and in no archive. What a crash of the server takes
-- is missed by nobody for long: answers go to the channel then.
ALTER TABLE reply_tokens SET UNLOGGED;

-- By itself, for it goes with video_requests should that be lost, and is made anew with it.
DELETE FROM reply_tokens WHERE request_id NOT IN (SELECT id FROM video_requests);
ALTER TABLE reply_tokens
  DROP CONSTRAINT IF EXISTS reply_tokens_request_id_fkey;
ALTER TABLE reply_tokens
  ADD CONSTRAINT reply_tokens_request_id_fkey
  FOREIGN KEY (request_id) REFERENCES video_requests (id) ON DELETE CASCADE;

CREATE INDEX IF NOT EXISTS idx_reply_tokens_expires
  ON reply_tokens (expires_at);

INSERT INTO schema_migrations (name)
VALUES ('007_deliver_answers')
ON CONFLICT (name) DO NOTHING;

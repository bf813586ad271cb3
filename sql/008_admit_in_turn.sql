-- What a request may ask for besides, and its turn among those that wait to be started.

ALTER TABLE video_requests
  -- What is not to be seen or heard; and the number that makes a model repeat itself.
  ADD COLUMN IF NOT EXISTS negative_prompt TEXT,
  ADD COLUMN IF NOT EXISTS seed BIGINT,
  -- Those who wait are started in this order: the time of asking, and later the more of the same
  -- user wait already.
  ADD COLUMN IF NOT EXISTS fair_at TIMESTAMPTZ NOT NULL DEFAULT now();

-- The seeds that a model knows are unsigned numbers of 32 bits.
ALTER TABLE video_requests
  DROP CONSTRAINT IF EXISTS video_requests_seed_fits;
ALTER TABLE video_requests
  ADD CONSTRAINT video_requests_seed_fits CHECK (seed BETWEEN 0 AND 4294967295) NOT VALID;

-- The queue, in its order.
CREATE INDEX IF NOT EXISTS idx_video_requests_waiting
  ON video_requests (fair_at)
  WHERE status = 'pending' AND claim IS NULL;

INSERT INTO schema_migrations (name)
VALUES ('008_admit_in_turn')
ON CONFLICT (name) DO NOTHING;

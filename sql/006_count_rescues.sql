-- How often the sweeper had to take a request up again. An operator's figure: nothing depends on it.

ALTER TABLE video_requests
  ADD COLUMN IF NOT EXISTS rescues INTEGER NOT NULL DEFAULT 0;

INSERT INTO schema_migrations (name)
VALUES ('006_count_rescues')
ON CONFLICT (name) DO NOTHING;

DROP PROCEDURE IF EXISTS admit_video_request;
DROP TRIGGER IF EXISTS fill_timestamps ON video_requests;
DROP FUNCTION IF EXISTS fill_video_request_timestamps;
DROP TRIGGER IF EXISTS guard_status ON video_requests;
DROP FUNCTION IF EXISTS guard_video_request_status;
DROP FUNCTION IF EXISTS video_request_duration_ms;
DROP INDEX IF EXISTS idx_video_requests_due;
DROP TABLE IF EXISTS video_events;
ALTER TABLE IF EXISTS video_requests
  DROP CONSTRAINT IF EXISTS video_requests_claim_has_time,
  DROP CONSTRAINT IF EXISTS video_requests_status_fits_timestamps,
  DROP COLUMN IF EXISTS delivered_at,
  DROP COLUMN IF EXISTS delivery_attempts,
  DROP COLUMN IF EXISTS delivery_due_at,
  DROP COLUMN IF EXISTS attempts,
  DROP COLUMN IF EXISTS due_at,
  DROP COLUMN IF EXISTS claimed_at,
  DROP COLUMN IF EXISTS claim,
  DROP COLUMN IF EXISTS error_code,
  DROP COLUMN IF EXISTS counted,
  DROP COLUMN IF EXISTS cost_usd,
  DROP COLUMN IF EXISTS model,
  DROP COLUMN IF EXISTS provider;
DROP TABLE IF EXISTS schema_migrations;

DROP PROCEDURE IF EXISTS admit_in_turn;
DROP FUNCTION IF EXISTS rate_limit_of;
DROP FUNCTION IF EXISTS monthly_standing;
DROP FUNCTION IF EXISTS daily_standing;
DROP INDEX IF EXISTS idx_video_requests_waiting;
ALTER TABLE IF EXISTS video_requests
  DROP CONSTRAINT IF EXISTS video_requests_seed_fits,
  DROP COLUMN IF EXISTS fair_at,
  DROP COLUMN IF EXISTS seed,
  DROP COLUMN IF EXISTS negative_prompt;
DELETE FROM schema_migrations WHERE name = '008_admit_in_turn';

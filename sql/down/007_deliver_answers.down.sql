DROP TABLE IF EXISTS reply_tokens;
DROP INDEX IF EXISTS idx_video_requests_experience;
DROP INDEX IF EXISTS idx_video_requests_delivery_due;
ALTER TABLE IF EXISTS video_requests
  DROP COLUMN IF EXISTS delivery_claim;
DELETE FROM schema_migrations WHERE name = '007_deliver_answers';

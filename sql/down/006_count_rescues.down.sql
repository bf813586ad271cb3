ALTER TABLE IF EXISTS video_requests
  DROP COLUMN IF EXISTS rescues;
DELETE FROM schema_migrations WHERE name = '006_count_rescues';

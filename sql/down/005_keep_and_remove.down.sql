DROP FUNCTION IF EXISTS remnants_begin_at(TIMESTAMPTZ);
DROP INDEX IF EXISTS idx_budget_spending_period;
DROP INDEX IF EXISTS idx_video_requests_forgotten;
DROP INDEX IF EXISTS idx_video_requests_figures;
DROP INDEX IF EXISTS idx_video_requests_user_list;
ALTER TABLE IF EXISTS video_requests
  DROP COLUMN IF EXISTS forgotten_at,
  DROP COLUMN IF EXISTS deleted_at,
  DROP COLUMN IF EXISTS archived_at;
DELETE FROM schema_migrations WHERE name = '005_keep_and_remove';

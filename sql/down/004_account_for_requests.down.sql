DROP TRIGGER IF EXISTS give_money_back ON video_requests;
DROP FUNCTION IF EXISTS give_money_back;
DROP PROCEDURE IF EXISTS admit_request;
DROP FUNCTION IF EXISTS budgets_of;
DROP TYPE IF EXISTS budget_standing;
DROP FUNCTION IF EXISTS user_standing;
DROP FUNCTION IF EXISTS counted_requests;
DROP FUNCTION IF EXISTS video_spending;
DROP FUNCTION IF EXISTS video_period_end;
DROP FUNCTION IF EXISTS video_period_start;
DROP TABLE IF EXISTS budget_spending;
DROP TABLE IF EXISTS budgets;
DROP TABLE IF EXISTS request_remnants;
DROP TABLE IF EXISTS user_quotas;
ALTER TABLE IF EXISTS video_requests
  DROP COLUMN IF EXISTS billed,
  DROP COLUMN IF EXISTS source_id;
DELETE FROM schema_migrations WHERE name = '004_account_for_requests';

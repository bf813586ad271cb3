CREATE INDEX IF NOT EXISTS idx_budget_spending_period
  ON budget_spending (period, period_start);
ALTER TABLE IF EXISTS budget_spending
  DROP CONSTRAINT IF EXISTS budget_spending_pkey,
  ADD CONSTRAINT budget_spending_pkey PRIMARY KEY (scope, scope_id, period, period_start);

DELETE FROM schema_migrations WHERE name = '013_find_counters';

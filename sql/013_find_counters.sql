-- Counters of budgets have one index, which finds a single one as well as those of a period.

-- With two to choose from, the admission may plan to read by the period alone, and then reads the
-- counters of every guild, several times over, before it finds its own. It does so wherever the
-- table has not been analysed since the period began.
ALTER TABLE budget_spending
  DROP CONSTRAINT IF EXISTS budget_spending_pkey,
  ADD CONSTRAINT budget_spending_pkey PRIMARY KEY (period, period_start, scope, scope_id);
DROP INDEX IF EXISTS idx_budget_spending_period;

INSERT INTO schema_migrations (name)
VALUES ('013_find_counters')
ON CONFLICT (name) DO NOTHING;

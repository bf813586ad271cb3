-- Videos that appear after their request has timed out: what is still looked for and until when,
-- what was found, and how it was delivered. The request itself stays as it ended.

CREATE TABLE IF NOT EXISTS late_results (
  request_id UUID PRIMARY KEY,
  -- When the sweeper has the storage asked again. NULL: it was found.
  due_at TIMESTAMPTZ DEFAULT now(),
  attempts INTEGER NOT NULL DEFAULT 0,
  -- Nothing is looked for any more from then on.
  look_until TIMESTAMPTZ NOT NULL,
  found_at TIMESTAMPTZ,
  -- The record of its own delivery, with a lease of its own.
  delivery_due_at TIMESTAMPTZ,
  delivery_claim UUID,
  delivery_attempts INTEGER NOT NULL DEFAULT 0,
  delivered_at TIMESTAMPTZ,
  CHECK ((due_at IS NULL) = (found_at IS NOT NULL)),
  CHECK (found_at IS NOT NULL OR num_nonnulls(delivery_due_at, delivered_at) = 0)
);

-- By itself, for it goes with video_requests should that be lost, and is made anew with it.
DELETE FROM late_results WHERE request_id NOT IN (SELECT id FROM video_requests);
ALTER TABLE late_results
  DROP CONSTRAINT IF EXISTS late_results_request_id_fkey;
ALTER TABLE late_results
  ADD CONSTRAINT late_results_request_id_fkey
  FOREIGN KEY (request_id) REFERENCES video_requests (id) ON DELETE CASCADE;

-- The sweeper's questions, every second.
CREATE INDEX IF NOT EXISTS idx_late_results_due
  ON late_results (due_at)
  WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_late_results_delivery_due
  ON late_results (delivery_due_at)
  WHERE delivery_due_at IS NOT NULL;

-- What gave its money back and was billed after all takes it again, whatever the limit, from the
-- counters that admission keeps, in the same order.
CREATE OR REPLACE FUNCTION take_money_again() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  -- Whoever sets a budget waits for this to end, or this waits and then sees it.
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('set budgets', 0));
  INSERT INTO budget_spending
  SELECT
    budget.scope, budget.scope_id, budget.period, budget.period_start,
    -- With this request. An admission that has it not in its sum, because it does not see this
    -- change yet, writes the same counter, and one of the two waits for the other.
    CASE
      WHEN budget.spent_usd IS NULL THEN
        video_spending(budget.scope, budget.scope_id, budget.period, budget.period_start)
      ELSE 0
    END
  FROM budgets_of(NEW.user_id, NEW.guild_id, NEW.created_at) AS budget
  WHERE budget.scope <> 'user'
  ORDER BY budget.scope DESC, budget.period
  ON CONFLICT (scope, scope_id, period, period_start)
  DO UPDATE SET spent_usd = budget_spending.spent_usd + NEW.cost_usd;
  RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER take_money_again
  AFTER UPDATE OF billed ON video_requests
  FOR EACH ROW WHEN (NOT OLD.billed AND NEW.billed AND NEW.cost_usd > 0)
  EXECUTE FUNCTION take_money_again();

INSERT INTO schema_migrations (name)
VALUES ('010_late_results')
ON CONFLICT (name) DO NOTHING;

-- What its user does with a request afterwards: put it away, delete it, be forgotten. And what
-- reading and cleaning up need for it.

ALTER TABLE video_requests
  -- Put away: out of the list, and there when it is asked for.
  ADD COLUMN IF NOT EXISTS archived_at TIMESTAMPTZ,
  -- Gone from every read of its user, still counted by limits, budgets and the figures over all.
  ADD COLUMN IF NOT EXISTS deleted_at TIMESTAMPTZ,
  -- Its user wants to be forgotten: the row, its events and its outputs go as soon as it has ended.
  ADD COLUMN IF NOT EXISTS forgotten_at TIMESTAMPTZ;

-- A user's list at any depth, with and without its filters, by the index alone.
CREATE INDEX IF NOT EXISTS idx_video_requests_user_list
  ON video_requests (user_id, created_at DESC, id DESC)
  INCLUDE (status, archived_at)
  WHERE deleted_at IS NULL;

-- The figures over all requests of all time, by the index alone.
CREATE INDEX IF NOT EXISTS idx_video_requests_figures
  ON video_requests (status, duration_ms)
  INCLUDE (cost_usd);

-- What waits to be forgotten; empty nearly always.
CREATE INDEX IF NOT EXISTS idx_video_requests_forgotten
  ON video_requests (forgotten_at)
  WHERE forgotten_at IS NOT NULL;

-- Counters of days and months that are over are dropped by it.
CREATE INDEX IF NOT EXISTS idx_budget_spending_period
  ON budget_spending (period, period_start);

-- From when on a limit or budget may still count a request: the month in UTC, or the rolling 24
-- hours. With an hour to spare, for admissions that began to count a moment ago.
CREATE OR REPLACE FUNCTION remnants_begin_at(moment TIMESTAMPTZ)
RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
  SELECT least(
    video_period_start('month', moment - interval '1 hour'),
    moment - interval '25 hours')
$$;

INSERT INTO schema_migrations (name)
VALUES ('005_keep_and_remove')
ON CONFLICT (name) DO NOTHING;

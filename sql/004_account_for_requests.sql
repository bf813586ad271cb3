-- Quotas and budgets, beside the rolling 24 hours; and what limits and budgets need of requests
-- whose rows are gone.

ALTER TABLE video_requests
  -- The request that this one was made from (remix). Its row may be gone.
  ADD COLUMN IF NOT EXISTS source_id UUID,
  -- False gives the money back: it ended without being charged for.
  ADD COLUMN IF NOT EXISTS billed BOOLEAN NOT NULL DEFAULT true;

-- What ended before it was started was not charged for, in the release before this one as well.
UPDATE video_requests
SET billed = false
WHERE status IN ('failed', 'timeout')
  AND cost_usd > 0
  AND gcs_prefix IS NULL
  AND NOT EXISTS (SELECT FROM schema_migrations WHERE name = '004_account_for_requests');

-- What an administrator allows one user, where it is not what everybody is allowed.
CREATE TABLE IF NOT EXISTS user_quotas (
  user_id TEXT PRIMARY KEY,
  daily_limit INTEGER CHECK (daily_limit >= 0),
  monthly_limit INTEGER CHECK (monthly_limit >= 0),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

INSERT INTO user_quotas (user_id, monthly_limit)
VALUES ('admin', 1000), ('anonymous', 10)
ON CONFLICT (user_id) DO NOTHING;

-- What limits and budgets need of a request whose row is gone: who, where, when, how much, and
-- nothing else. It stays until no window counts it.
CREATE TABLE IF NOT EXISTS request_remnants (
  user_id TEXT NOT NULL,
  guild_id TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  -- Dollars; 0 where the money was given back.
  cost_usd NUMERIC(10, 4) NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_request_remnants_user_created
  ON request_remnants (user_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_request_remnants_guild_created
  ON request_remnants (guild_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_request_remnants_created
  ON request_remnants (created_at);

-- How much may be spent: by one user, in one guild or in all, in a day or a month (UTC).
-- The id '*' stands for every user or guild that has no budget of its own.
CREATE TABLE IF NOT EXISTS budgets (
  scope TEXT NOT NULL CHECK (scope IN ('user', 'guild', 'all')),
  scope_id TEXT NOT NULL,
  period TEXT NOT NULL CHECK (period IN ('day', 'month')),
  limit_usd NUMERIC(12, 4) NOT NULL CHECK (limit_usd >= 0),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (scope, scope_id, period),
  CHECK ((scope = 'all') = (scope_id = ''))
);

-- What guilds, and all together, have spent of their budgets. A user's spending needs no counter:
-- the user's own lock makes the sum over the user's requests exact.
CREATE TABLE IF NOT EXISTS budget_spending (
  scope TEXT NOT NULL,
  scope_id TEXT NOT NULL,
  period TEXT NOT NULL,
  period_start TIMESTAMPTZ NOT NULL,
  spent_usd NUMERIC(12, 4) NOT NULL,
  PRIMARY KEY (scope, scope_id, period, period_start)
) WITH (fillfactor = 50);

-- The day or month, in UTC, that `moment` lies in: its start, and the start of the next one. Neither
-- depends on the time zone of the session.
CREATE OR REPLACE FUNCTION video_period_start(period TEXT, moment TIMESTAMPTZ)
RETURNS TIMESTAMPTZ
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT date_trunc(period, moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;

CREATE OR REPLACE FUNCTION video_period_end(period TEXT, moment TIMESTAMPTZ)
RETURNS TIMESTAMPTZ
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT
    (date_trunc(period, moment AT TIME ZONE 'UTC')
      + CASE period WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END)
    AT TIME ZONE 'UTC'
$$;

-- Dollars that a user, a guild or all have spent in the day or month that begins at `since`.
CREATE OR REPLACE FUNCTION video_spending(
  scope TEXT, scope_id TEXT, period TEXT, since TIMESTAMPTZ
)
RETURNS NUMERIC
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
DECLARE
  until CONSTANT TIMESTAMPTZ := video_period_end(period, since);
BEGIN
  -- One query for each scope, so that each has its index.
  CASE scope
    WHEN 'user' THEN
      RETURN coalesce((
        SELECT sum(cost_usd) FROM video_requests
        WHERE user_id = scope_id AND created_at >= since AND created_at < until AND billed
      ), 0) + coalesce((
        SELECT sum(cost_usd) FROM request_remnants
        WHERE user_id = scope_id AND created_at >= since AND created_at < until
      ), 0);
    WHEN 'guild' THEN
      RETURN coalesce((
        SELECT sum(cost_usd) FROM video_requests
        WHERE guild_id = scope_id AND created_at >= since AND created_at < until AND billed
      ), 0) + coalesce((
        SELECT sum(cost_usd) FROM request_remnants
        WHERE guild_id = scope_id AND created_at >= since AND created_at < until
      ), 0);
    ELSE
      RETURN coalesce((
        SELECT sum(cost_usd) FROM video_requests
        WHERE status IN ('pending', 'generating', 'completed', 'failed', 'timeout')
          AND created_at >= since AND created_at < until AND billed
      ), 0) + coalesce((
        SELECT sum(cost_usd) FROM request_remnants
        WHERE created_at >= since AND created_at < until
      ), 0);
  END CASE;
END
$$;

-- The newest requests of a user after `since` that count against limits, at most `most` of them.
CREATE OR REPLACE FUNCTION counted_requests(of_user TEXT, since TIMESTAMPTZ, most INTEGER)
RETURNS TABLE (created_at TIMESTAMPTZ)
LANGUAGE sql STABLE
AS $$
  (
    SELECT request.created_at
    FROM video_requests AS request
    WHERE request.user_id = of_user AND request.created_at > since AND request.counted
    ORDER BY request.created_at DESC
    LIMIT most
  )
  UNION ALL
  (
    SELECT remnant.created_at
    FROM request_remnants AS remnant
    WHERE remnant.user_id = of_user AND remnant.created_at > since
    ORDER BY remnant.created_at DESC
    LIMIT most
  )
  ORDER BY created_at DESC
  LIMIT most
$$;

-- How a user stands with the limits, read no further than the limits go: used_of_day is at most
-- daily_limit, used_of_month at most monthly_limit. oldest_at: the oldest request of the rolling
-- 24 hours that counts.
CREATE OR REPLACE FUNCTION user_standing(
  of_user TEXT, default_daily_limit INTEGER, default_monthly_limit INTEGER, moment TIMESTAMPTZ
)
RETURNS TABLE (
  daily_limit INTEGER, used_of_day BIGINT, oldest_at TIMESTAMPTZ,
  monthly_limit INTEGER, used_of_month BIGINT
)
LANGUAGE sql STABLE
AS $$
  SELECT
    quota.daily,
    least(newest.of_day, quota.daily),
    newest.moments[least(newest.of_day, quota.daily)],
    quota.monthly,
    least(newest.of_month, quota.monthly)
  FROM (
    SELECT
      coalesce(max(user_quotas.daily_limit), default_daily_limit) AS daily,
      coalesce(max(user_quotas.monthly_limit), default_monthly_limit) AS monthly
    FROM user_quotas
    WHERE user_id = of_user
  ) AS quota
  -- One reading for both windows.
  CROSS JOIN LATERAL (
    SELECT
      count(*) FILTER (WHERE counted.created_at > moment - interval '24 hours') AS of_day,
      count(*) FILTER (WHERE counted.created_at >= video_period_start('month', moment)) AS of_month,
      array_agg(counted.created_at) AS moments
    FROM counted_requests(
      of_user,
      least(
        moment - interval '24 hours',
        video_period_start('month', moment) - interval '1 microsecond'),
      greatest(quota.daily, quota.monthly)) AS counted
  ) AS newest
$$;

-- A budget that a request has to keep to, as it stands.
DO $$
BEGIN
  CREATE TYPE budget_standing AS (
    scope TEXT, scope_id TEXT, period TEXT, period_start TIMESTAMPTZ, limit_usd NUMERIC,
    spent_usd NUMERIC
  );
EXCEPTION
  WHEN duplicate_object THEN NULL;
END
$$;

-- The budgets that a request of this user in this guild has to keep to: the user's first, the one
-- of all last. spent_usd is NULL where a guild, or all, have no counter for the period yet.
CREATE OR REPLACE FUNCTION budgets_of(of_user TEXT, in_guild TEXT, moment TIMESTAMPTZ)
RETURNS SETOF budget_standing
LANGUAGE sql STABLE
AS $$
  SELECT
    chosen.scope, chosen.scope_id, chosen.period, chosen.period_start, chosen.limit_usd,
    CASE chosen.scope
      WHEN 'user' THEN
        video_spending('user', chosen.scope_id, chosen.period, chosen.period_start)
      ELSE (
        SELECT spent_usd
        FROM budget_spending AS spending
        WHERE spending.scope = chosen.scope
          AND spending.scope_id = chosen.scope_id
          AND spending.period = chosen.period
          AND spending.period_start = chosen.period_start
      )
    END
  FROM (
    -- A budget of one's own goes before the one for everybody.
    SELECT DISTINCT ON (budget.scope, budget.period)
      budget.scope,
      CASE budget.scope WHEN 'user' THEN of_user WHEN 'guild' THEN in_guild ELSE '' END AS scope_id,
      budget.period,
      video_period_start(budget.period, moment) AS period_start,
      budget.limit_usd
    FROM budgets AS budget
    WHERE (budget.scope, budget.scope_id) IN (
      ('user', of_user), ('user', '*'), ('guild', in_guild), ('guild', '*'), ('all', '')
    )
    ORDER BY budget.scope DESC, budget.period, budget.scope_id = '*'
  ) AS chosen
$$;

-- The admission of 003, with everything that a request counts against. The one of 003 stays for
-- the processes of the release before this one; no budget may be set until they are gone.
--
-- CALL it on an autocommit connection. It answers
--   'exists'    the id is known: nothing was written, whatever the limits say;
--   'refused'   nothing was written;
--   'admitted'  the row is there, pending, with its event, and counted wherever it has to be.
-- used, allowed: requests in the rolling 24 hours, this one included, at most the limit, and the
-- limit; oldest_at: the oldest of them that counts; reset_at: when its place comes free.
-- refused_by: 'daily', 'monthly', or a budget as 'guild day'; refused_used, refused_limit: the
-- requests of the month, or the dollars, and how many are allowed; refused_until: the period's end.
CREATE OR REPLACE PROCEDURE admit_request(
  request video_requests,
  default_daily_limit INTEGER,
  default_monthly_limit INTEGER,
  lease INTERVAL,
  INOUT outcome TEXT DEFAULT NULL,
  INOUT used INTEGER DEFAULT NULL,
  INOUT allowed INTEGER DEFAULT NULL,
  INOUT oldest_at TIMESTAMPTZ DEFAULT NULL,
  INOUT reset_at TIMESTAMPTZ DEFAULT NULL,
  INOUT refused_by TEXT DEFAULT NULL,
  INOUT refused_used NUMERIC DEFAULT NULL,
  INOUT refused_limit NUMERIC DEFAULT NULL,
  INOUT refused_until TIMESTAMPTZ DEFAULT NULL
)
LANGUAGE plpgsql
AS $$
DECLARE
  cost CONSTANT NUMERIC := coalesce(request.cost_usd, 0);
  moment TIMESTAMPTZ;
  standing RECORD;
  budgets budget_standing[] := '{}';
  budget budget_standing;
BEGIN
  -- In a statement of their own: the snapshot of the next one is taken after the locks are held.
  -- Within one statement it comes first, and a race passes the limit.
  PERFORM
    pg_advisory_xact_lock(hashtextextended('admit ' || request.user_id, 0)),
    pg_advisory_xact_lock_shared(hashtextextended('set budgets', 0)),
    -- Weighing new plans for every request takes an eighth of the time of all the rest.
    set_config('plan_cache_mode', 'force_generic_plan', true);
  moment := clock_timestamp();

  SELECT
    EXISTS (SELECT FROM video_requests WHERE id = request.id) AS is_known,
    -- What costs nothing needs no budget.
    cost > 0 AND EXISTS (SELECT FROM budgets) AS has_budgets,
    limits.*
  INTO standing
  FROM user_standing(
    request.user_id, default_daily_limit, default_monthly_limit, moment) AS limits;

  IF standing.is_known THEN
    -- Whoever hears this relies on the row, whose commit may not have reached the disk yet.
    PERFORM pg_logical_emit_message(true, '', '');
    outcome := 'exists';
    RETURN;
  END IF;

  outcome := 'refused';
  used := standing.used_of_day;
  allowed := standing.daily_limit;
  oldest_at := standing.oldest_at;
  reset_at := oldest_at + interval '24 hours';
  IF used >= allowed THEN
    refused_by := 'daily';
    RETURN;
  END IF;
  IF standing.used_of_month >= standing.monthly_limit THEN
    refused_by := 'monthly';
    refused_used := standing.used_of_month;
    refused_limit := standing.monthly_limit;
    refused_until := video_period_end('month', moment);
    RETURN;
  END IF;
  IF standing.has_budgets THEN
    budgets := ARRAY(
      SELECT each
      FROM budgets_of(request.user_id, request.guild_id, moment) AS each);
    FOREACH budget IN ARRAY budgets LOOP
      -- What is full already refuses here, before anything is written.
      IF budget.spent_usd + cost > budget.limit_usd THEN
        refused_by := budget.scope || ' ' || budget.period;
        refused_used := budget.spent_usd;
        refused_limit := budget.limit_usd;
        refused_until := video_period_end(budget.period, moment);
        RETURN;
      END IF;
    END LOOP;
  END IF;

  INSERT INTO video_requests (
    id, user_id, guild_id, channel_id,
    prompt, duration_seconds, aspect_ratio, resolution, generate_audio,
    provider, model, cost_usd, source_id,
    status, created_at, due_at
  ) VALUES (
    request.id, request.user_id, request.guild_id, request.channel_id,
    request.prompt, request.duration_seconds, request.aspect_ratio, request.resolution,
    request.generate_audio,
    request.provider, request.model, request.cost_usd, request.source_id,
    'pending', moment, moment + lease
  )
  -- Another user may have brought the same id in this very moment.
  ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN
    PERFORM pg_logical_emit_message(true, '', '');
    outcome := 'exists';
    used := NULL;
    allowed := NULL;
    oldest_at := NULL;
    reset_at := NULL;
    RETURN;
  END IF;
  INSERT INTO video_events (request_id, event_type, event_data, created_at)
  VALUES (
    request.id,
    'created',
    jsonb_build_object(
      'provider', request.provider, 'model', request.model, 'cost_usd', request.cost_usd),
    moment
  );
  IF request.source_id IS NOT NULL THEN
    INSERT INTO video_events (request_id, event_type, event_data, created_at)
    VALUES (request.id, 'remixed', jsonb_build_object('source_id', request.source_id), moment);
  END IF;

  IF standing.has_budgets THEN
    -- What is shared comes last, always in the same order, and is held for a moment only: the
    -- first commit does not wait for the disk, and the second one, when the locks are gone, does
    -- it for both.
    SET LOCAL synchronous_commit = off;
    FOREACH budget IN ARRAY budgets LOOP
      CONTINUE WHEN budget.scope = 'user';
      IF budget.spent_usd IS NULL THEN
        -- The first request since the period began, or since the budget was set. It is in the
        -- sum already, and is added below.
        INSERT INTO budget_spending
        VALUES (
          budget.scope, budget.scope_id, budget.period, budget.period_start,
          video_spending(budget.scope, budget.scope_id, budget.period, budget.period_start) - cost)
        ON CONFLICT DO NOTHING;
      END IF;
      UPDATE budget_spending
      SET spent_usd = spent_usd + cost
      WHERE scope = budget.scope
        AND scope_id = budget.scope_id
        AND period = budget.period
        AND period_start = budget.period_start
        AND spent_usd + cost <= budget.limit_usd;
      IF NOT FOUND THEN
        -- Others were there first.
        refused_by := budget.scope || ' ' || budget.period;
        refused_used := spent_usd
          FROM budget_spending
          WHERE scope = budget.scope
            AND scope_id = budget.scope_id
            AND period = budget.period
            AND period_start = budget.period_start;
        refused_limit := budget.limit_usd;
        refused_until := video_period_end(budget.period, moment);
        ROLLBACK;
        RETURN;
      END IF;
    END LOOP;
    COMMIT;
    PERFORM pg_logical_emit_message(true, '', '');
  END IF;

  outcome := 'admitted';
  used := used + 1;
  oldest_at := coalesce(oldest_at, moment);
  reset_at := oldest_at + interval '24 hours';
END
$$;

-- What turns out not to be billed gives its money back, whoever writes it, to the counters that
-- admission keeps, in the same order.
CREATE OR REPLACE FUNCTION give_money_back() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  -- Whoever sets a budget waits for this to end, or this waits and then sees it.
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('set budgets', 0));
  INSERT INTO budget_spending
  SELECT
    budget.scope, budget.scope_id, budget.period, budget.period_start,
    -- Without this request. An admission that has it in its sum, because it does not see this
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
  DO UPDATE SET spent_usd = budget_spending.spent_usd - NEW.cost_usd;
  RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER give_money_back
  AFTER UPDATE OF billed ON video_requests
  FOR EACH ROW WHEN (OLD.billed AND NOT NEW.billed AND NEW.cost_usd > 0)
  EXECUTE FUNCTION give_money_back();

INSERT INTO schema_migrations (name)
VALUES ('004_account_for_requests')
ON CONFLICT (name) DO NOTHING;

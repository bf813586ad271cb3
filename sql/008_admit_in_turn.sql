-- What a request may ask for besides, and its turn among those that wait to be started.

ALTER TABLE video_requests
  -- What is not to be seen or heard; and the number that makes a model repeat itself.
  ADD COLUMN IF NOT EXISTS negative_prompt TEXT,
  ADD COLUMN IF NOT EXISTS seed BIGINT,
  -- Those who wait are started in this order: the time of asking, and later the more of the same
  -- user wait already.
  ADD COLUMN IF NOT EXISTS fair_at TIMESTAMPTZ NOT NULL DEFAULT now();

-- The seeds that a model knows are unsigned numbers of 32 bits.
ALTER TABLE video_requests
  DROP CONSTRAINT IF EXISTS video_requests_seed_fits;
ALTER TABLE video_requests
  ADD CONSTRAINT video_requests_seed_fits CHECK (seed BETWEEN 0 AND 4294967295) NOT VALID;

-- The queue, in its order.
CREATE INDEX IF NOT EXISTS idx_video_requests_waiting
  ON video_requests (fair_at)
  WHERE status = 'pending' AND claim IS NULL;

-- How a user stands with the limit of the rolling 24 hours, read no further than the limit goes:
-- used is at most daily_limit, oldest_at the oldest request that counts.
CREATE OR REPLACE FUNCTION daily_standing(
  of_user TEXT, default_limit INTEGER, moment TIMESTAMPTZ
)
RETURNS TABLE (daily_limit INTEGER, used BIGINT, oldest_at TIMESTAMPTZ)
LANGUAGE sql STABLE
AS $$
  SELECT quota.daily, newest.used, newest.oldest_at
  FROM (
    SELECT coalesce(max(user_quotas.daily_limit), default_limit) AS daily
    FROM user_quotas
    WHERE user_id = of_user
  ) AS quota
  CROSS JOIN LATERAL (
    SELECT count(*) AS used, min(counted.created_at) AS oldest_at
    FROM counted_requests(of_user, moment - interval '24 hours', quota.daily) AS counted
  ) AS newest
$$;

-- The same of the calendar month.
CREATE OR REPLACE FUNCTION monthly_standing(
  of_user TEXT, default_limit INTEGER, moment TIMESTAMPTZ
)
RETURNS TABLE (monthly_limit INTEGER, used BIGINT)
LANGUAGE sql STABLE
AS $$
  SELECT quota.monthly, newest.used
  FROM (
    SELECT coalesce(max(user_quotas.monthly_limit), default_limit) AS monthly
    FROM user_quotas
    WHERE user_id = of_user
  ) AS quota
  CROSS JOIN LATERAL (
    SELECT count(*) AS used
    FROM counted_requests(
      of_user, video_period_start('month', moment) - interval '1 microsecond', quota.monthly)
  ) AS newest
$$;

-- The first of them for whoever asks nothing else: planned once, where planning it would take
-- longer than answering.
CREATE OR REPLACE FUNCTION rate_limit_of(of_user TEXT, default_limit INTEGER)
RETURNS TABLE (daily_limit INTEGER, used BIGINT, oldest_at TIMESTAMPTZ)
LANGUAGE plpgsql STABLE
AS $$
BEGIN
  RETURN QUERY SELECT * FROM daily_standing(of_user, default_limit, now());
END
$$;

-- The admission of 004, which stays for the processes of the release before this one: with what
-- may be asked for besides, and a turn. It reads no more than it needs to refuse.
--
-- spacing: how far apart the turns of one user's requests are, where starts are paced; NULL where
-- they are not. The rest is as it was.
CREATE OR REPLACE PROCEDURE admit_in_turn(
  request video_requests,
  default_daily_limit INTEGER,
  default_monthly_limit INTEGER,
  lease INTERVAL,
  spacing INTERVAL,
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
  beyond RECORD;
  turn TIMESTAMPTZ;
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
    daily.*
  INTO standing
  FROM daily_standing(request.user_id, default_daily_limit, moment) AS daily;

  IF standing.is_known THEN
    -- Whoever hears this relies on the row, whose commit may not have reached the disk yet.
    PERFORM pg_logical_emit_message(true, '', '');
    outcome := 'exists';
    RETURN;
  END IF;

  outcome := 'refused';
  used := standing.used;
  allowed := standing.daily_limit;
  oldest_at := standing.oldest_at;
  reset_at := oldest_at + interval '24 hours';
  IF used >= allowed THEN
    refused_by := 'daily';
    RETURN;
  END IF;
  SELECT
    -- What costs nothing needs no budget.
    cost > 0 AND EXISTS (SELECT FROM budgets) AS has_budgets,
    monthly.*
  INTO beyond
  FROM monthly_standing(request.user_id, default_monthly_limit, moment) AS monthly;
  IF beyond.used >= beyond.monthly_limit THEN
    refused_by := 'monthly';
    refused_used := beyond.used;
    refused_limit := beyond.monthly_limit;
    refused_until := video_period_end('month', moment);
    RETURN;
  END IF;
  IF beyond.has_budgets THEN
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

  IF spacing IS NOT NULL THEN
    -- A user's requests are started in the order in which they were made, so the newest ones tell.
    turn := max(newest.fair_at) + spacing
      FROM (
        SELECT fair_at, status, claim
        FROM video_requests
        WHERE user_id = request.user_id
        ORDER BY created_at DESC
        LIMIT 20
      ) AS newest
      WHERE newest.status = 'pending' AND newest.claim IS NULL;
  END IF;

  INSERT INTO video_requests (
    id, user_id, guild_id, channel_id,
    prompt, duration_seconds, aspect_ratio, resolution, generate_audio,
    negative_prompt, seed, provider, model, cost_usd, source_id,
    status, created_at, due_at, fair_at
  ) VALUES (
    request.id, request.user_id, request.guild_id, request.channel_id,
    request.prompt, request.duration_seconds, request.aspect_ratio, request.resolution,
    request.generate_audio,
    request.negative_prompt, request.seed,
    request.provider, request.model, request.cost_usd, request.source_id,
    'pending', moment, moment + lease, greatest(moment, turn)
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

  IF beyond.has_budgets THEN
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

INSERT INTO schema_migrations (name)
VALUES ('008_admit_in_turn')
ON CONFLICT (name) DO NOTHING;

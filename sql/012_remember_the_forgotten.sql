-- That somebody was forgotten, for what they had asked for before and comes to be written after.

-- It goes when no limit or budget reaches back to that moment: what is left of them goes then too.
CREATE TABLE IF NOT EXISTS forgotten_users (
  user_id TEXT PRIMARY KEY,
  -- By the clock of whoever took the wish, which is also that of what was asked for.
  forgotten_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_forgotten_users_forgotten
  ON forgotten_users (forgotten_at);

-- The admission of 008, which stays for the processes of the release before this one. It answers
-- 'forgotten', and nothing is written, where the user was forgotten since the request was asked for.
--
-- request: the row's columns by their names. asked_at: NULL of requests from the release before,
-- which does not tell. The rest is as it was.
CREATE OR REPLACE PROCEDURE admit_unless_forgotten(
  request JSONB,
  asked_at TIMESTAMPTZ,
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
  of_user CONSTANT TEXT := request ->> 'user_id';
  cost CONSTANT NUMERIC := coalesce((request ->> 'cost_usd')::numeric, 0);
  new video_requests;
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
    pg_advisory_xact_lock(hashtextextended('admit ' || of_user, 0)),
    pg_advisory_xact_lock_shared(hashtextextended('set budgets', 0)),
    -- Weighing new plans for every request takes an eighth of the time of all the rest.
    set_config('plan_cache_mode', 'force_generic_plan', true);
  moment := clock_timestamp();

  SELECT
    EXISTS (SELECT FROM video_requests WHERE id = (request ->> 'id')::uuid) AS is_known,
    EXISTS (
      SELECT FROM forgotten_users
      WHERE user_id = of_user AND forgotten_at >= asked_at) AS is_forgotten,
    daily.*
  INTO standing
  FROM daily_standing(of_user, default_daily_limit, moment) AS daily;

  IF standing.is_known THEN
    -- Whoever hears this relies on the row, whose commit may not have reached the disk yet.
    PERFORM pg_logical_emit_message(true, '', '');
    outcome := 'exists';
    RETURN;
  END IF;

  IF standing.is_forgotten THEN
    outcome := 'forgotten';
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
  FROM monthly_standing(of_user, default_monthly_limit, moment) AS monthly;
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
      FROM budgets_of(of_user, request ->> 'guild_id', moment) AS each);
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
        WHERE user_id = of_user
        ORDER BY created_at DESC
        LIMIT 20
      ) AS newest
      WHERE newest.status = 'pending' AND newest.claim IS NULL;
  END IF;

  -- Not before: taking it apart costs a refusal more than any other of its steps.
  new := jsonb_populate_record(NULL::video_requests, request);
  INSERT INTO video_requests (
    id, user_id, guild_id, channel_id,
    prompt, duration_seconds, aspect_ratio, resolution, generate_audio,
    negative_prompt, seed, provider, model, cost_usd, source_id,
    status, created_at, due_at, fair_at
  ) VALUES (
    new.id, new.user_id, new.guild_id, new.channel_id,
    new.prompt, new.duration_seconds, new.aspect_ratio, new.resolution,
    new.generate_audio,
    new.negative_prompt, new.seed,
    new.provider, new.model, new.cost_usd, new.source_id,
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
    new.id,
    'created',
    jsonb_build_object(
      'provider', new.provider, 'model', new.model, 'cost_usd', new.cost_usd),
    moment
  );
  IF new.source_id IS NOT NULL THEN
    INSERT INTO video_events (request_id, event_type, event_data, created_at)
    VALUES (new.id, 'remixed', jsonb_build_object('source_id', new.source_id), moment);
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
VALUES ('012_remember_the_forgotten')
ON CONFLICT (name) DO NOTHING;

-- That somebody was forgotten, for what they had asked for before and comes to be written after.

-- It goes when no limit or budget reaches back to that moment: what is left of them goes then too.
CREATE TABLE IF NOT EXISTS forgotten_users (
  user_id TEXT PRIMARY KEY,
  -- By the clock of whoever took the wish, which is also that of what was asked for.
  forgotten_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_forgotten_users_forgotten
  ON forgotten_users (forgotten_at);

-- Whether the user was forgotten since. In a transaction that holds the lock of the user's
-- admissions, as whoever forgets does: nobody is forgotten in between.
CREATE OR REPLACE FUNCTION was_forgotten_since(of_user TEXT, moment TIMESTAMPTZ)
RETURNS BOOLEAN
LANGUAGE sql STABLE
AS $$
  SELECT EXISTS (
    SELECT FROM forgotten_users
    WHERE user_id = of_user AND forgotten_at >= moment)
$$;

-- The admission of 008, for requests that tell when they were asked for. It answers 'forgotten',
-- and nothing was written, where the user was forgotten since. asked_at may be NULL: that is not
-- known of requests from the release before this one.
CREATE OR REPLACE PROCEDURE admit_unless_forgotten(
  request video_requests,
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
BEGIN
  -- In a statement of its own, as there.
  PERFORM pg_advisory_xact_lock(hashtextextended('admit ' || request.user_id, 0));
  IF was_forgotten_since(request.user_id, asked_at) THEN
    outcome := 'forgotten';
    RETURN;
  END IF;
  CALL admit_in_turn(
    request, default_daily_limit, default_monthly_limit, lease, spacing,
    outcome, used, allowed, oldest_at, reset_at,
    refused_by, refused_used, refused_limit, refused_until);
END
$$;

INSERT INTO schema_migrations (name)
VALUES ('012_remember_the_forgotten')
ON CONFLICT (name) DO NOTHING;

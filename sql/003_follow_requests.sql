-- What the chain needs of a request beyond the request itself: who may make the
-- paid call, when somebody must look at it again, how it was delivered, and what
-- happened to it; with the guards that no writer can get round.

CREATE TABLE IF NOT EXISTS schema_migrations (
  name TEXT PRIMARY KEY,
  applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

ALTER TABLE video_requests
  -- What was asked for, beyond the parameters, and what it costs.
  ADD COLUMN IF NOT EXISTS provider TEXT,
  ADD COLUMN IF NOT EXISTS model TEXT,
  ADD COLUMN IF NOT EXISTS cost_usd NUMERIC(10, 4),
  -- False gives the request's place in the limits back.
  ADD COLUMN IF NOT EXISTS counted BOOLEAN NOT NULL DEFAULT true,
  -- Why it failed, for programs; error_message says it to people.
  ADD COLUMN IF NOT EXISTS error_code TEXT,
  -- The one who may make the paid call. Set once; cleared only when the call was
  -- certainly not taken.
  ADD COLUMN IF NOT EXISTS claim UUID,
  ADD COLUMN IF NOT EXISTS claimed_at TIMESTAMPTZ,
  -- When the sweeper takes the request up, unless its follower was there before.
  ADD COLUMN IF NOT EXISTS due_at TIMESTAMPTZ,
  -- How often in a row somebody took it up and did not get anywhere.
  ADD COLUMN IF NOT EXISTS attempts INTEGER NOT NULL DEFAULT 0,
  -- The delivery's record, with a lease of its own.
  ADD COLUMN IF NOT EXISTS delivery_due_at TIMESTAMPTZ,
  ADD COLUMN IF NOT EXISTS delivery_attempts INTEGER NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS delivered_at TIMESTAMPTZ;

CREATE TABLE IF NOT EXISTS video_events (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id UUID NOT NULL REFERENCES video_requests (id) ON DELETE CASCADE,
  event_type TEXT NOT NULL,
  event_data JSONB NOT NULL DEFAULT '{}',
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_video_events_request
  ON video_events (request_id, id);

CREATE INDEX IF NOT EXISTS idx_video_requests_due
  ON video_requests (due_at)
  WHERE status IN ('pending', 'generating');

-- Milliseconds between start and end (RT5), within what the INTEGER column holds.
CREATE OR REPLACE FUNCTION video_request_duration_ms(started TIMESTAMPTZ, ended TIMESTAMPTZ)
RETURNS INTEGER
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT greatest(0, least(round(extract(epoch FROM ended - started) * 1000), 2147483647))::integer
$$;

-- Repairs, before the CHECK below is there to trip on. Rows of the system before this
-- one may be short of a timestamp. What is missing is filled from what is known:
--   started_at    the creation: the latest moment before which it cannot have started;
--   completed_at  the start and the duration, where there is one, else the start;
--   duration_ms   the time between the two.
-- A timestamp that contradicts the status (a pending request that has an end) is
-- cleared. The former values stay readable in an event of type 'repaired'.
WITH impossible AS (
  SELECT
    id, status, created_at, started_at, completed_at, duration_ms,
    coalesce(started_at, created_at) AS start
  FROM video_requests
  WHERE CASE status
    WHEN 'pending' THEN num_nonnulls(started_at, completed_at, duration_ms) > 0
    WHEN 'generating' THEN started_at IS NULL OR num_nonnulls(completed_at, duration_ms) > 0
    ELSE num_nulls(started_at, completed_at, duration_ms) > 0
  END
), ends AS (
  SELECT
    *,
    coalesce(completed_at, start + coalesce(duration_ms, 0) * interval '1 millisecond') AS finish
  FROM impossible
), repaired AS (
  UPDATE video_requests AS request
  SET
    started_at = CASE WHEN ends.status <> 'pending' THEN ends.start END,
    completed_at = CASE WHEN ends.status NOT IN ('pending', 'generating') THEN ends.finish END,
    duration_ms = CASE WHEN ends.status NOT IN ('pending', 'generating') THEN
      coalesce(ends.duration_ms, video_request_duration_ms(ends.start, ends.finish)) END
  FROM ends
  WHERE request.id = ends.id
  RETURNING ends.id, ends.started_at, ends.completed_at, ends.duration_ms
)
INSERT INTO video_events (request_id, event_type, event_data)
SELECT id, 'repaired', jsonb_build_object(
  'started_at', started_at, 'completed_at', completed_at, 'duration_ms', duration_ms)
FROM repaired;

-- Requests of the former system that have not ended have nobody to follow them. They
-- are due at once; a pending one counts as claimed, for whether its paid call was made
-- is unknown, and so it is looked for and ends, but is never paid for again.
UPDATE video_requests
SET
  due_at = now(),
  claim = CASE WHEN status = 'pending' THEN gen_random_uuid() END,
  claimed_at = CASE WHEN status = 'pending' THEN created_at END
WHERE status IN ('pending', 'generating')
  AND due_at IS NULL
  AND NOT EXISTS (SELECT FROM schema_migrations WHERE name = '003_follow_requests');

-- The status and its timestamps say the same, whoever writes the row. NOT VALID spares
-- the table a scan under lock; the repairs above have left no row that it would refuse.
ALTER TABLE video_requests
  DROP CONSTRAINT IF EXISTS video_requests_status_fits_timestamps;
ALTER TABLE video_requests
  ADD CONSTRAINT video_requests_status_fits_timestamps CHECK (
    CASE status
      WHEN 'pending' THEN num_nonnulls(started_at, completed_at, duration_ms) = 0
      WHEN 'generating' THEN started_at IS NOT NULL AND num_nonnulls(completed_at, duration_ms) = 0
      ELSE num_nulls(started_at, completed_at, duration_ms) = 0
    END
  ) NOT VALID;
ALTER TABLE video_requests
  DROP CONSTRAINT IF EXISTS video_requests_claim_has_time;
ALTER TABLE video_requests
  ADD CONSTRAINT video_requests_claim_has_time
  CHECK ((claim IS NULL) = (claimed_at IS NULL)) NOT VALID;

-- The state machine (RT2, RT3), for writers that do not go through the application. It
-- runs for every UPDATE that names the status: an illegal move is refused, and a
-- timestamp that is there is kept.
CREATE OR REPLACE FUNCTION guard_video_request_status() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
    ('pending', 'generating'),
    ('generating', 'completed'),
    ('generating', 'failed'),
    ('generating', 'timeout')
  ) THEN
    RAISE EXCEPTION 'Invalid status transition: % to % (request %)', OLD.status, NEW.status, OLD.id
      USING ERRCODE = 'check_violation';
  END IF;
  NEW.started_at := coalesce(OLD.started_at, NEW.started_at);
  NEW.completed_at := coalesce(OLD.completed_at, NEW.completed_at);
  NEW.duration_ms := coalesce(OLD.duration_ms, NEW.duration_ms);
  RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER guard_status
  BEFORE UPDATE OF status ON video_requests
  FOR EACH ROW EXECUTE FUNCTION guard_video_request_status();

-- An INSERT that was written for 001 still works: a row that is told to have started or
-- ended and lacks a timestamp gets it as the repairs above would give it.
CREATE OR REPLACE FUNCTION fill_video_request_timestamps() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  NEW.started_at := coalesce(NEW.started_at, NEW.created_at);
  IF NEW.status <> 'generating' THEN
    NEW.completed_at := coalesce(
      NEW.completed_at,
      NEW.started_at + coalesce(NEW.duration_ms, 0) * interval '1 millisecond');
    NEW.duration_ms := coalesce(
      NEW.duration_ms, video_request_duration_ms(NEW.started_at, NEW.completed_at));
  END IF;
  RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER fill_timestamps
  BEFORE INSERT ON video_requests
  FOR EACH ROW WHEN (NEW.status <> 'pending')
  EXECUTE FUNCTION fill_video_request_timestamps();

-- Admission: the one way a request comes into being (RT1, RT6, RL1). CALL it on an
-- autocommit connection. It answers
--   'exists'    the id is known: nothing was written, whatever the limits say;
--   'refused'   the user's rolling 24 hours are full: nothing was written;
--   'admitted'  the row is there, pending, with its event.
-- used: the user's requests in the window, this one included, at most the limit;
-- oldest_at: the oldest of them that counts; reset_at: when its place comes free.
CREATE OR REPLACE PROCEDURE admit_video_request(
  request video_requests,
  daily_limit INTEGER,
  lease INTERVAL,
  INOUT outcome TEXT DEFAULT NULL,
  INOUT used INTEGER DEFAULT NULL,
  INOUT oldest_at TIMESTAMPTZ DEFAULT NULL,
  INOUT reset_at TIMESTAMPTZ DEFAULT NULL
)
LANGUAGE plpgsql
AS $$
DECLARE
  moment TIMESTAMPTZ;
BEGIN
  -- In a statement of its own: the snapshot of the next one is taken after the lock is
  -- held. Within one statement it comes first, and a race passes the limit.
  PERFORM pg_advisory_xact_lock(hashtextextended('admit ' || request.user_id, 0));
  moment := clock_timestamp();

  IF EXISTS (SELECT FROM video_requests WHERE id = request.id) THEN
    outcome := 'exists';
    RETURN;
  END IF;

  SELECT count(*), min(created_at)
  INTO used, oldest_at
  FROM (
    SELECT created_at
    FROM video_requests
    WHERE user_id = request.user_id
      AND created_at > moment - interval '24 hours'
      AND counted
    ORDER BY created_at DESC
    LIMIT daily_limit
  ) AS newest;

  IF used >= daily_limit THEN
    outcome := 'refused';
    reset_at := oldest_at + interval '24 hours';
    RETURN;
  END IF;

  INSERT INTO video_requests (
    id, user_id, guild_id, channel_id,
    prompt, duration_seconds, aspect_ratio, resolution, generate_audio,
    provider, model, cost_usd,
    status, created_at, due_at
  ) VALUES (
    request.id, request.user_id, request.guild_id, request.channel_id,
    request.prompt, request.duration_seconds, request.aspect_ratio, request.resolution,
    request.generate_audio,
    request.provider, request.model, request.cost_usd,
    'pending', moment, moment + lease
  )
  -- Another user may have brought the same id in this very moment.
  ON CONFLICT (id) DO NOTHING;
  IF NOT FOUND THEN
    outcome := 'exists';
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

  outcome := 'admitted';
  used := used + 1;
  oldest_at := coalesce(oldest_at, moment);
  reset_at := oldest_at + interval '24 hours';
END
$$;

INSERT INTO schema_migrations (name)
VALUES ('001_create_video_requests'), ('002_add_indexes'), ('003_follow_requests')
ON CONFLICT (name) DO NOTHING;

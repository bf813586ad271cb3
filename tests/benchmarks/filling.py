"""Filling a database with a year of requests, as a busy installation would have them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from db.engine import Database
from db.settings import DatabaseSettings
from db.states import Status

Say = Callable[[str], object]

USERS: Final = 20_000
BUSY_USER: Final = "busy"
"""Has asked for more than anybody should, and keeps asking."""
BUSY_REQUESTS: Final = 1_000
"""Of the busy user, all within the last 24 hours."""
BATCH: Final = 100_000
PATIENCE: Final = timedelta(hours=1)
"""For statements that fill and vacuum."""

# Discord's ids have 18 digits. Some users ask far more often than others. Who asked less than
# six minutes ago is still waiting. Of the events each
# request has the first: an index as deep as three would make, in a third of the time.
_FILL: Final = text(
    """
    WITH asked AS MATERIALIZED (
      SELECT
        CASE WHEN n > :ordinary
          THEN :busy_user
          ELSE to_char(floor(:users * power(random(), 2)), 'FM100000000000000000')
        END AS user_id,
        CASE WHEN n > :ordinary
          THEN now() - (n - :ordinary) * interval '80 seconds'
          ELSE now() - (1 - n::float / :ordinary) * interval '365 days'
        END AS created_at,
        random() AS fate,
        floor(500 * random()) AS guild
      FROM generate_series(CAST(:first AS integer), :last) AS n
    ), told AS MATERIALIZED (
      SELECT
        *,
        CASE
          WHEN created_at > now() - interval '10 seconds' THEN 'pending'
          WHEN created_at > now() - interval '6 minutes' THEN 'generating'
          WHEN fate < 0.92 THEN 'completed'
          WHEN fate < 0.97 THEN 'failed'
          ELSE 'timeout'
        END AS status,
        created_at + interval '2 seconds' AS started_at,
        CASE WHEN fate < 0.97
          THEN created_at + interval '42 seconds' + fate * interval '2 minutes'
          ELSE created_at + interval '302 seconds'
        END AS completed_at
      FROM asked
    ), requests AS (
      INSERT INTO video_requests (
        id, user_id, guild_id, channel_id, prompt,
        duration_seconds, aspect_ratio, resolution, provider, model, cost_usd,
        status, created_at, started_at, completed_at, duration_ms,
        operation_name, gcs_prefix, video_urls, error_code, error_message, due_at
      )
      SELECT
        gen_random_uuid(), user_id,
        to_char(guild, 'FM200000000000000000'), to_char(guild, 'FM300000000000000000'),
        left(repeat('A lighthouse in a storm, seen from the sea. ', 5), 40 + (160 * fate)::integer),
        4, '16:9', '720p', 'vertex', 'veo-3.1-fast-generate-001', 0.40,
        status, created_at,
        CASE WHEN status <> 'pending' THEN started_at END,
        CASE WHEN status NOT IN ('pending', 'generating') THEN completed_at END,
        CASE WHEN status NOT IN ('pending', 'generating')
          THEN video_request_duration_ms(started_at, completed_at)
        END,
        CASE WHEN status <> 'pending' THEN 'projects/p/operations/' || md5(fate::text) END,
        CASE WHEN status <> 'pending' THEN 'gs://bucket/requests/' || md5(fate::text) END,
        CASE WHEN status = 'completed'
          THEN ARRAY['gs://bucket/requests/' || md5(fate::text) || '/video.mp4']
        END,
        CASE status WHEN 'failed' THEN 'filtered' WHEN 'timeout' THEN 'timeout' END,
        CASE WHEN status IN ('failed', 'timeout') THEN 'The video could not be made.' END,
        CASE WHEN status IN ('pending', 'generating') THEN now() + interval '1 day' END
      FROM told
      RETURNING id, created_at
    )
    INSERT INTO video_events (request_id, event_type, event_data, created_at)
    SELECT id, 'created', '{"model": "veo-3.1-fast-generate-001"}', created_at
    FROM requests
    """
)

#: All but the primary keys': filled with them in place, the tables take half as long again.
_INDEXES: Final = text(
    "SELECT indexname, indexdef FROM pg_indexes "
    "WHERE schemaname = 'public' AND indexname LIKE 'idx%'"
)

_UNDER_WAY: Final = text(
    """
    INSERT INTO video_requests (
      user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
      provider, model, cost_usd, status, started_at, claim, claimed_at, due_at
    )
    SELECT
      to_char(floor(:users * random()), 'FM100000000000000000'), 'guild', 'channel',
      'A lighthouse in a storm, seen from the sea', 4, '16:9', '720p',
      'vertex', 'veo-3.1-fast-generate-001', 0.40,
      :status, CASE WHEN :status <> 'pending' THEN now() END, :claim, now(),
      now() + interval '1 day'
    FROM generate_series(1, :count)
    RETURNING id
    """
)


def access(address: str, *, patience: timedelta = PATIENCE) -> Database:
    """A database as a process of ours sees it, but for the patience."""
    settings = DatabaseSettings.model_validate({"database_url": address})
    return Database(settings, answer_timeout=patience)


def fill(database: Database, rows: int, say: Say) -> None:
    """Bring an empty database to `rows` requests with their events, vacuumed and on the disk."""
    with database.autocommit() as conn:
        for setting in (
            "SET statement_timeout = 0",
            "SET idle_session_timeout = 0",
            # The flush at the end is enough; and no trigger, for all they would check is right.
            "SET synchronous_commit = off",
            "SET session_replication_role = replica",
            "SET maintenance_work_mem = '256MB'",
            "SELECT setseed(0.5)",
        ):
            conn.execute(text(setting))
        indexes = conn.execute(_INDEXES).all()
        for name, _ in indexes:
            conn.exec_driver_sql(f"DROP INDEX {name}")
        for first in range(1, rows + 1, BATCH):
            last = min(first + BATCH - 1, rows)
            conn.execute(
                _FILL,
                {
                    "first": first,
                    "last": last,
                    "ordinary": rows - BUSY_REQUESTS,
                    "users": USERS,
                    "busy_user": BUSY_USER,
                },
            )
            if last == rows or last % (10 * BATCH) == 0:
                say(f"{last:,} of {rows:,} rows are there")
        say("making the indexes anew, vacuuming")
        for _, definition in indexes:
            conn.exec_driver_sql(definition)
        conn.execute(text("VACUUM ANALYZE"))
        conn.execute(text("CHECKPOINT"))
        # The settings above are not for whoever gets the connection next.
        conn.invalidate()


def under_way(conn: Connection, status: Status, *, claim: UUID, count: int) -> list[UUID]:
    """New requests that are `status` and were claimed by `claim`."""
    values = {"status": status, "claim": claim, "count": count, "users": USERS}
    return list(conn.execute(_UNDER_WAY, values).scalars())

"""The tables as SQLAlchemy Core sees them. ``sql/`` makes them; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    and_,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

video_requests = Table(
    "video_requests",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("user_id", Text, nullable=False),
    Column("guild_id", Text, nullable=False),
    Column("channel_id", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("duration_seconds", Integer, nullable=False),
    Column("aspect_ratio", Text, nullable=False),
    Column("resolution", Text, nullable=False),
    Column("generate_audio", Boolean, nullable=False, server_default=text("true")),
    Column("status", Text, nullable=False),
    Column("operation_name", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("duration_ms", Integer),
    Column("gcs_prefix", Text),
    Column("video_urls", ARRAY(Text)),
    Column("error_message", Text),
    Column("provider", Text),
    Column("model", Text),
    Column("cost_usd", Numeric(10, 4)),
    Column("counted", Boolean, nullable=False, server_default=text("true")),
    Column("error_code", Text),
    Column("claim", Uuid),
    Column("claimed_at", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("delivery_due_at", DateTime(timezone=True)),
    Column("delivery_attempts", Integer, nullable=False, server_default=text("0")),
    Column("delivered_at", DateTime(timezone=True)),
    Column("source_id", Uuid),
    Column("billed", Boolean, nullable=False, server_default=text("true")),
    Column("archived_at", DateTime(timezone=True)),
    Column("deleted_at", DateTime(timezone=True)),
    Column("forgotten_at", DateTime(timezone=True)),
    Column("rescues", Integer, nullable=False, server_default=text("0")),
    Column("delivery_claim", Uuid),
    Column("negative_prompt", Text),
    Column("seed", BigInteger),
    Column("fair_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("duration_seconds IN (4, 6, 8)"),
    CheckConstraint("aspect_ratio IN ('16:9', '9:16')"),
    CheckConstraint("resolution IN ('720p', '1080p')"),
    CheckConstraint("status IN ('pending', 'generating', 'completed', 'failed', 'timeout')"),
)

c = video_requests.c
Index("idx_video_requests_user_created", c.user_id, c.created_at.desc())
Index("idx_video_requests_status_created", c.status, c.created_at.desc())
Index("idx_video_requests_guild_created", c.guild_id, c.created_at.desc())
Index("idx_video_requests_due", c.due_at, postgresql_where=c.status.in_(["pending", "generating"]))
Index(
    "idx_video_requests_waiting",
    c.fair_at,
    postgresql_where=and_(c.status == "pending", c.claim.is_(None)),
)
Index(
    "idx_video_requests_user_list",
    c.user_id,
    c.created_at.desc(),
    c.id.desc(),
    postgresql_include=["status", "archived_at"],
    postgresql_where=c.deleted_at.is_(None),
)
Index("idx_video_requests_figures", c.status, c.duration_ms, postgresql_include=["cost_usd"])
Index("idx_video_requests_forgotten", c.forgotten_at, postgresql_where=c.forgotten_at.is_not(None))
Index(
    "idx_video_requests_delivery_due",
    c.delivery_due_at,
    postgresql_where=c.delivery_due_at.is_not(None),
)
Index(
    "idx_video_requests_experience",
    c.model,
    c.duration_seconds,
    c.completed_at.desc(),
    postgresql_include=["duration_ms"],
    postgresql_where=c.status == "completed",
)

video_events = Table(
    "video_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("request_id", Uuid, ForeignKey("video_requests.id", ondelete="CASCADE"), nullable=False),
    Column("event_type", Text, nullable=False),
    Column("event_data", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
Index("idx_video_events_request", video_events.c.request_id, video_events.c.id)

reply_tokens = Table(
    "reply_tokens",
    metadata,
    Column(
        "request_id",
        Uuid,
        ForeignKey("video_requests.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("application_id", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("told", Text),
    Column("told_at", DateTime(timezone=True)),
    Column("telling_until", DateTime(timezone=True)),
    Column("closed", Boolean, nullable=False, server_default=text("false")),
    prefixes=["UNLOGGED"],
)
Index("idx_reply_tokens_expires", reply_tokens.c.expires_at)

sent_requests = Table(
    "sent_requests",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("request", JSONB, nullable=False),
    Column("application_id", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("told", Text, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("telling_until", DateTime(timezone=True)),
    Column("told_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    prefixes=["UNLOGGED"],
)
Index("idx_sent_requests_due", sent_requests.c.due_at)

late_results = Table(
    "late_results",
    metadata,
    Column(
        "request_id",
        Uuid,
        ForeignKey("video_requests.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("due_at", DateTime(timezone=True), server_default=func.now()),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("look_until", DateTime(timezone=True), nullable=False),
    Column("found_at", DateTime(timezone=True)),
    Column("delivery_due_at", DateTime(timezone=True)),
    Column("delivery_claim", Uuid),
    Column("delivery_attempts", Integer, nullable=False, server_default=text("0")),
    Column("delivered_at", DateTime(timezone=True)),
    CheckConstraint("(due_at IS NULL) = (found_at IS NOT NULL)"),
    CheckConstraint("found_at IS NOT NULL OR num_nonnulls(delivery_due_at, delivered_at) = 0"),
)
Index(
    "idx_late_results_due",
    late_results.c.due_at,
    postgresql_where=late_results.c.due_at.is_not(None),
)
Index(
    "idx_late_results_delivery_due",
    late_results.c.delivery_due_at,
    postgresql_where=late_results.c.delivery_due_at.is_not(None),
)

start_turns = Table(
    "start_turns",
    metadata,
    Column("request_id", Uuid, nullable=False),
    Column("valid_until", DateTime(timezone=True)),
    Column("reaches_by", DateTime(timezone=True), nullable=False),
)
Index("idx_start_turns_reaches", start_turns.c.reaches_by)
Index("idx_start_turns_request", start_turns.c.request_id)

user_quotas = Table(
    "user_quotas",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("daily_limit", Integer),
    Column("monthly_limit", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("daily_limit >= 0"),
    CheckConstraint("monthly_limit >= 0"),
)

request_remnants = Table(
    "request_remnants",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("guild_id", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("cost_usd", Numeric(10, 4), nullable=False),
)
Index(
    "idx_request_remnants_user_created",
    request_remnants.c.user_id,
    request_remnants.c.created_at.desc(),
)
Index(
    "idx_request_remnants_guild_created",
    request_remnants.c.guild_id,
    request_remnants.c.created_at.desc(),
)
Index("idx_request_remnants_created", request_remnants.c.created_at)

forgotten_users = Table(
    "forgotten_users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("forgotten_at", DateTime(timezone=True), nullable=False),
)
Index("idx_forgotten_users_forgotten", forgotten_users.c.forgotten_at)

budgets = Table(
    "budgets",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("scope_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("limit_usd", Numeric(12, 4), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("scope IN ('user', 'guild', 'all')"),
    CheckConstraint("period IN ('day', 'month')"),
    CheckConstraint("limit_usd >= 0"),
    CheckConstraint("(scope = 'all') = (scope_id = '')"),
)

budget_spending = Table(
    "budget_spending",
    metadata,
    Column("scope", Text, nullable=False),
    Column("scope_id", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("spent_usd", Numeric(12, 4), nullable=False),
    PrimaryKeyConstraint("period", "period_start", "scope", "scope_id"),
)

schema_migrations = Table(
    "schema_migrations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

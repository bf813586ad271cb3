"""Everything that speaks to Postgres, and nothing else.

States and the one table of allowed transitions, the tables as SQLAlchemy Core sees them,
records, every statement, the engine, the migration runner, and an embedded server for
local runs and tests. This package knows nothing of Celery, Discord or HTTP.
"""

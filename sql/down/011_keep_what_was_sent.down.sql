DROP TABLE IF EXISTS sent_requests;
DELETE FROM schema_migrations WHERE name = '011_keep_what_was_sent';

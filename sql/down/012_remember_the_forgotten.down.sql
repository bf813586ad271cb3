DROP PROCEDURE IF EXISTS admit_unless_forgotten;
DROP TABLE IF EXISTS forgotten_users;
DELETE FROM schema_migrations WHERE name = '012_remember_the_forgotten';

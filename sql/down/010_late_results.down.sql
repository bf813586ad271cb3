DROP TRIGGER IF EXISTS take_money_again ON video_requests;
DROP FUNCTION IF EXISTS take_money_again();
DROP TABLE IF EXISTS late_results;
DELETE FROM schema_migrations WHERE name = '010_late_results';

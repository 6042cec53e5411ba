-- ... or, with --dedupe, each distinct reading once. Two NULLs are the same value, 0.0 and -0.0 are two: DISTINCT would
-- take them for one.
CREATE TABLE accelerometer AS
SELECT "user", "timestamp", x, y, z
FROM (SELECT *, row_number() OVER (PARTITION BY "user", "timestamp", x, y, z) AS copy FROM accelerometer_landing)
WHERE copy = 1;

CREATE TABLE step_trainer AS SELECT DISTINCT * FROM step_trainer_landing;

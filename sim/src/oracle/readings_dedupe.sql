-- ... or, with --dedupe, each distinct reading once. Two NULLs are the same value.
CREATE TABLE accelerometer AS SELECT DISTINCT * FROM accelerometer_landing;
CREATE TABLE step_trainer AS SELECT DISTINCT * FROM step_trainer_landing;

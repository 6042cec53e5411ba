-- --match timestamp: readings of the same time, whoever they belong to.
CREATE TABLE machine_learning_curated AS
SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a."user", a."timestamp", a.x, a.y, a.z
FROM step_trainer_trusted s JOIN accelerometer_trusted a ON a."timestamp" = s.sensorreadingtime;

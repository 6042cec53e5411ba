-- --match customer: readings of the same time whose user owns the serial number. Owning it twice changes nothing.
CREATE TABLE owners AS SELECT DISTINCT email, serialnumber FROM customers_curated;

CREATE TABLE machine_learning_curated AS
SELECT s.serialnumber, s.sensorreadingtime, s.distancefromobject, a."user", a."timestamp", a.x, a.y, a.z
FROM step_trainer_trusted s
JOIN owners o ON o.serialnumber = s.serialnumber
JOIN accelerometer_trusted a ON a."timestamp" = s.sensorreadingtime AND a."user" = o.email;

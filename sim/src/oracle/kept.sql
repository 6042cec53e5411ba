-- What of each landing table went on. With --dedupe, duplicates count like any other record.
SELECT (SELECT count(*) FROM customer_trusted) AS customer_landing,
       (SELECT count(*) FROM accelerometer_landing WHERE "user" IN (SELECT email FROM customer_trusted))
           AS accelerometer_landing,
       (SELECT count(*) FROM step_trainer_landing WHERE serialnumber IN (SELECT serialnumber FROM customers_curated))
           AS step_trainer_landing;

-- A reading counts once however many customer rows it matches: IN, never JOIN.
CREATE TABLE accelerometer_trusted AS
SELECT * FROM accelerometer WHERE "user" IN (SELECT email FROM customer_trusted);

-- Distinct: only --consent any has duplicates to drop.
CREATE TABLE customers_curated AS
SELECT DISTINCT * FROM customer_trusted WHERE email IN (SELECT "user" FROM accelerometer);

CREATE TABLE step_trainer_trusted AS
SELECT * FROM step_trainer WHERE serialnumber IN (SELECT serialnumber FROM customers_curated);

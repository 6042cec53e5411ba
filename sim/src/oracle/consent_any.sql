-- --consent any: every record that consents, duplicates too.
CREATE TABLE customer_trusted AS
SELECT * FROM customer_landing WHERE sharewithresearchasofdate IS NOT NULL AND sharewithresearchasofdate <> 0;

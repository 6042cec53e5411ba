-- --consent latest. Consented: shareWithResearchAsOfDate present and not 0. A missing lastUpdateDate counts as 0.
CREATE VIEW customer_versions AS
SELECT *,
       coalesce(lastupdatedate, 0) AS updated,
       coalesce(sharewithresearchasofdate, 0) <> 0 AS consents
FROM customer_landing;

-- An e-mail consents if all its newest records do.
CREATE TABLE consenting_emails AS
SELECT email
FROM (SELECT email, consents, updated = max(updated) OVER (PARTITION BY email) AS newest FROM customer_versions)
WHERE newest
GROUP BY email
HAVING bool_and(consents);

-- The newest record of each e-mail and serial number, if the e-mail consents and the record itself does.
CREATE TABLE customer_trusted AS
SELECT customername, email, phone, birthday, serialnumber, registrationdate, lastupdatedate,
       sharewithresearchasofdate, sharewithpublicasofdate, sharewithfriendsasofdate
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY email, serialnumber
        ORDER BY updated DESC,
                 registrationdate DESC NULLS LAST,
                 customername DESC NULLS LAST,
                 phone DESC NULLS LAST,
                 birthday DESC NULLS LAST,
                 lastupdatedate DESC NULLS LAST,
                 sharewithresearchasofdate DESC NULLS LAST,
                 sharewithpublicasofdate DESC NULLS LAST,
                 sharewithfriendsasofdate DESC NULLS LAST
    ) AS age
    FROM customer_versions
)
WHERE age = 1 AND consents AND email IN (SELECT email FROM consenting_emails);

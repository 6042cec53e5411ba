-- case.insensitive: keys in any letter case are read, such as timestamp and timeStamp.
-- ignore.malformed.json: a record that cannot be read is a row of NULLs here; `stedi run` quarantines it.
CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`customer_landing` (
  `customername` string COMMENT 'name of the customer',
  `email` string COMMENT 'e-mail address; the accelerometer tables call it user',
  `phone` string COMMENT 'phone number',
  `birthday` string COMMENT 'birthday as the customer typed it; not always a date',
  `serialnumber` string COMMENT 'serial number of the customer\'s step trainer',
  `registrationdate` bigint COMMENT 'epoch ms of the registration',
  `lastupdatedate` bigint COMMENT 'epoch ms of this version of the record',
  `sharewithresearchasofdate` bigint COMMENT 'epoch ms since which data may be used for research; absent or 0: not',
  `sharewithpublicasofdate` bigint COMMENT 'epoch ms since which data may be shared with the public',
  `sharewithfriendsasofdate` bigint COMMENT 'epoch ms since which data may be shared with friends'
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('case.insensitive' = 'TRUE', 'ignore.malformed.json' = 'TRUE')
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 'file:///LAKE/customer/landing/'
TBLPROPERTIES ('classification' = 'json');

-- case.insensitive: keys in any letter case are read, such as timestamp and timeStamp.
-- ignore.malformed.json: a record that cannot be read is a row of NULLs here; `stedi run` quarantines it.
CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`accelerometer_landing` (
  `user` string COMMENT 'e-mail address of the customer',
  `timestamp` bigint COMMENT 'epoch ms of the reading',
  `x` double COMMENT 'acceleration along x',
  `y` double COMMENT 'acceleration along y',
  `z` double COMMENT 'acceleration along z'
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('case.insensitive' = 'TRUE', 'ignore.malformed.json' = 'TRUE')
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 'file:///LAKE/accelerometer/landing/'
TBLPROPERTIES ('classification' = 'json');

-- case.insensitive: keys in any letter case are read, such as timestamp and timeStamp.
-- ignore.malformed.json: a record that cannot be read is a row of NULLs here; `stedi run` quarantines it.
CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`step_trainer_landing` (
  `sensorreadingtime` bigint COMMENT 'epoch ms of the reading',
  `serialnumber` string COMMENT 'serial number of the step trainer',
  `distancefromobject` bigint COMMENT 'distance the sensor saw'
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('case.insensitive' = 'TRUE', 'ignore.malformed.json' = 'TRUE')
STORED AS INPUTFORMAT 'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 'file:///LAKE/step_trainer/landing/'
TBLPROPERTIES ('classification' = 'json');

-- Where one of these tables exists, move it to the current run instead:
--   ALTER TABLE name SET LOCATION 'the location below'

CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`customer_trusted` (
  `customername` string COMMENT 'name of the customer',
  `email` string COMMENT 'e-mail address; the accelerometer tables call it user',
  `phone` string COMMENT 'phone number',
  `birthday` string COMMENT 'birthday as the customer typed it; not always a date',
  `serialnumber` string COMMENT 'serial number of the customer\'s step trainer',
  `registrationdate` bigint COMMENT 'epoch ms of the registration',
  `lastupdatedate` bigint COMMENT 'epoch ms of this version of the record',
  `sharewithresearchasofdate` bigint COMMENT 'epoch ms since which data may be used for research; absent or 0: not',
  `sharewithpublicasofdate` bigint COMMENT 'epoch ms since which data may be shared with the public',
  `sharewithfriendsasofdate` bigint COMMENT 'epoch ms since which data may be shared with friends'
)
STORED AS PARQUET
LOCATION 'file:///LAKE/customer/trusted/run=RUN/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`accelerometer_trusted` (
  `user` string COMMENT 'e-mail address of the customer',
  `timestamp` bigint COMMENT 'epoch ms of the reading',
  `x` double COMMENT 'acceleration along x',
  `y` double COMMENT 'acceleration along y',
  `z` double COMMENT 'acceleration along z'
)
STORED AS PARQUET
LOCATION 'file:///LAKE/accelerometer/trusted/run=RUN/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`customers_curated` (
  `customername` string COMMENT 'name of the customer',
  `email` string COMMENT 'e-mail address; the accelerometer tables call it user',
  `phone` string COMMENT 'phone number',
  `birthday` string COMMENT 'birthday as the customer typed it; not always a date',
  `serialnumber` string COMMENT 'serial number of the customer\'s step trainer',
  `registrationdate` bigint COMMENT 'epoch ms of the registration',
  `lastupdatedate` bigint COMMENT 'epoch ms of this version of the record',
  `sharewithresearchasofdate` bigint COMMENT 'epoch ms since which data may be used for research; absent or 0: not',
  `sharewithpublicasofdate` bigint COMMENT 'epoch ms since which data may be shared with the public',
  `sharewithfriendsasofdate` bigint COMMENT 'epoch ms since which data may be shared with friends'
)
STORED AS PARQUET
LOCATION 'file:///LAKE/customer/curated/run=RUN/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`step_trainer_trusted` (
  `sensorreadingtime` bigint COMMENT 'epoch ms of the reading',
  `serialnumber` string COMMENT 'serial number of the step trainer',
  `distancefromobject` bigint COMMENT 'distance the sensor saw'
)
STORED AS PARQUET
LOCATION 'file:///LAKE/step_trainer/trusted/run=RUN/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

CREATE EXTERNAL TABLE IF NOT EXISTS `research`.`machine_learning_curated` (
  `serialnumber` string COMMENT 'serial number of the step trainer',
  `sensorreadingtime` bigint COMMENT 'epoch ms of the step reading',
  `distancefromobject` bigint COMMENT 'distance the sensor saw',
  `user` string COMMENT 'e-mail address of the customer',
  `timestamp` bigint COMMENT 'epoch ms of the accelerometer reading',
  `x` double COMMENT 'acceleration along x',
  `y` double COMMENT 'acceleration along y',
  `z` double COMMENT 'acceleration along z'
)
STORED AS PARQUET
LOCATION 'file:///LAKE/machine_learning/curated/run=RUN/'
TBLPROPERTIES ('classification' = 'parquet', 'parquet.compression' = 'ZSTD');

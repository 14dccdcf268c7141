-- What a record's state takes as text, in bytes, for who reads many of them: a push that touches records reads the
-- states of all, and is refused where these are too large together. Null where a version before made the record: then it is
-- measured. Such a version, where it changes a record, leaves the number as it was.
alter table sync_records add column bytes int;

-- What a record's state takes as text, in bytes, for who reads many of them: a push that touches records reads the
-- states of all, and is refused where these are too large together. Null where a version before wrote it last: then it is
-- measured.
alter table sync_records add column bytes int;

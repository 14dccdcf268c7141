-- Whose history a used database has, and what each row of it says: for log.sql and records.sql, and dropped after them.
-- The log's rows are as the worker writes what tests/bench/sample.cpp makes. :records, :million and :now are given.
--
--   source    rows           users                  records               changes of each
--   plain     records * 10   user-N                 100 of each           an insert, nine updates of three fields
--   million   1,000,000      million                100,000               the same
--   busy      10,001         busy                   busy-0                an insert, 10,000 updates of all fields
--   pages     16,000         pages-0 to pages-7     1,000 of each         an insert; later, one update of all fields
--   spaces    4,000          writer-0 to writer-19  10 of each of 200     the same; `member` is a member of all spaces
create schema bench;

-- The rows of each source are evenly spread over `steps`, the last 30 days, and lie `place` microseconds after one.
create table bench.source as
select name, place, total, records, changes, steps,
       extract(epoch from :'now'::timestamptz)::bigint * 1000000 - 30 * 86400 * 1000000::bigint as began,
       30 * 86400 * 1000000::bigint / (steps + 1) as step
from (values ('plain', 0, :records::bigint * 10, :records::bigint, 10),
             ('million', 1, :million::bigint, :million::bigint / 10, 10),
             ('busy', 2, 10001, 1, 10001),
             ('pages', 3, 16000, 8000, 2),
             ('spaces', 4, 4000, 2000, 2)) as source (name, place, total, records, changes),
     (select :records::bigint * 10 as steps) as history
where total > 0;

-- The microsecond of a source's row `n`.
create function bench.position_of(source bench.source, n bigint) returns bigint language sql immutable as $$
    select source.began + n * source.steps / source.total * source.step + source.place
$$;

create function bench.text_of(micros bigint) returns text language sql stable as $$
    select to_char(timestamp 'epoch' + micros * interval '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Rows 0 to records - 1 insert them; after that each round changes all of them. 618033989 shares no divisor with a
-- power of ten: it scatters the users over the log.
create function bench.record_of(source bench.source, n bigint) returns bigint language sql immutable as $$
    select case source.name when 'plain' then n % source.records * 618033989 % source.records
                            else n % source.records end
$$;
create function bench.id_of(name text, record bigint) returns text language sql immutable as $$
    select case name when 'busy' then 'busy-0' else md5(name || record) end
$$;
create function bench.user_of(source bench.source, record bigint) returns text language sql immutable as $$
    select case source.name when 'plain' then 'user-' || record % (source.records / 100)
                            when 'pages' then 'pages-' || record % 8
                            when 'spaces' then 'writer-' || record % 20
                            else source.name end
$$;
create function bench.space_of(name text, record bigint) returns text language sql immutable as $$
    select case name when 'spaces' then 'space-' || lpad((record % 200)::text, 3, '0') end
$$;

-- sample_insert, sample_update_of_all
create function bench.all_values(n bigint, at text) returns text language sql immutable as $$
    select '"body": "Two loaves if there are any left, otherwise rolls; and ask about the order.", "done": false, '
           || '"tags": ["home", "errands"], "title": "Buy bread and milk ' || n || '", "position": ' || n
           || ', "createdAt": "' || at || '", "updatedAt": "' || at || '"'
$$;
-- `said`: what is known of each field's write
create function bench.meta_of_all(said text) returns text language sql immutable as $$
    select '"body": ' || said || ', "done": ' || said || ', "tags": ' || said || ', "title": ' || said
           || ', "position": ' || said || ', "createdAt": ' || said || ', "updatedAt": ' || said
$$;

-- sample_update
create function bench.three_values(n bigint) returns text language sql immutable as $$
    select '"done": true, "title": "Buy rolls ' || n || '", "position": ' || n
$$;
create function bench.meta_of_three(said text) returns text language sql immutable as $$
    select '"done": ' || said || ', "title": ' || said || ', "position": ' || said
$$;

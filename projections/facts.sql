-- Facts: one row per event, typed where a view needs it. Append-only, without keys and indexes: both only cost.

CREATE TABLE facts (
    seq UBIGINT,
    n UINTEGER,
    happened TIMESTAMP,
    kind VARCHAR,
    id VARCHAR,
    owner VARCHAR,
    writer VARCHAR,
    cause VARCHAR,
    commit_id VARCHAR,
    flow VARCHAR,
    v UINTEGER,
    type VARCHAR,
    text VARCHAR,
    task VARCHAR,
    workflow VARCHAR,
    phases VARCHAR[],
    priority INTEGER,
    phase VARCHAR,
    role VARCHAR,
    agent VARCHAR,
    run VARCHAR,
    attempt INTEGER,
    epoch INTEGER,
    reason VARCHAR,
    order_id VARCHAR,
    pipeline VARCHAR,
    slots INTEGER,
    capacity INTEGER,
    mind VARCHAR,
    lease_s DOUBLE,
    actor VARCHAR,
    actors VARCHAR[],
    artifacts STRUCT(name VARCHAR, type VARCHAR, sha256 VARCHAR, bytes BIGINT)[],
    call VARCHAR,
    again INTEGER,
    turn INTEGER,
    tool VARCHAR,
    ok BOOLEAN,
    ms DOUBLE,
    failure VARCHAR,
    body VARCHAR
);

-- How far the task board is, and what made the tables. The facts are as far as the last of them: no record has none.
CREATE TABLE position (board UBIGINT, schema VARCHAR);

-- The two variables are the whole of time travel: `upto` is the place that is asked about, `folded` the place of
-- the task board if it is not beyond that. A reader who sets neither gets the newest answer the long way.
CREATE VIEW events AS
SELECT * FROM facts WHERE seq <= coalesce(getvariable('upto'), 18446744073709551615);

CREATE VIEW tail AS
SELECT * FROM events WHERE seq > coalesce(getvariable('folded'), 0);

-- The order of events: by commit, then within the commit, which is at most 64 KiB long.
CREATE MACRO place(seq, n) AS seq * 65536 + n;

-- A piece of an event that no column holds; nothing where the event cannot be read that far.
CREATE MACRO piece(body, path) AS TRY(json_extract_string(body, path));
CREATE MACRO texts(body, path) AS TRY(CAST(json_extract(body, path) AS VARCHAR[]));

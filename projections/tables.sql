-- The tables, and what they are read with. Facts: one row per event, typed where a view needs it; append-only, without
-- keys and indexes: both only cost.

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
    reason VARCHAR,
    slots INTEGER,
    mind VARCHAR,
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

-- The task board: the one thing with a life of its own, so one row per task is kept and merged from the tail. An empty
-- text or an infinite past means "not any more", because arg_max passes over NULL. `marks` is what was said of its
-- phases, in that order. A row without `first_seq` is of a task that was spoken of before it was submitted: it waits for that.
CREATE TABLE board (
    id VARCHAR,
    text VARCHAR,
    workflow VARCHAR,
    phases VARCHAR[],
    priority INTEGER,
    status VARCHAR,
    phase VARCHAR,
    attempt INTEGER,
    agent VARCHAR,
    run VARCHAR,
    reason VARCHAR,
    done BIGINT,
    marks STRUCT(phase VARCHAR, said VARCHAR)[],
    slot VARCHAR,
    queue_priority INTEGER,
    queued UBIGINT,
    sandbox VARCHAR,
    items BIGINT,
    ticked BIGINT[],
    began TIMESTAMP,
    last_tick TIMESTAMP,
    created TIMESTAMP,
    updated TIMESTAMP,
    ended TIMESTAMP,
    first_seq UBIGINT,
    last_seq UBIGINT
);

-- The steps and the runs: they have a life too, from the request to the end. `asked` and `told` are places: of the
-- latest request of a call, and of what ended it.
CREATE TABLE step_board (
    task VARCHAR,
    run VARCHAR,
    agent VARCHAR,
    call VARCHAR,
    tool VARCHAR,
    command VARCHAR,
    again INTEGER,
    begun UBIGINT,
    asked UBIGINT,
    told UBIGINT,
    noted UBIGINT,
    started TIMESTAMP,
    ran BOOLEAN,
    aside BOOLEAN,
    outcome STRUCT(how VARCHAR, happened TIMESTAMP, ok BOOLEAN, ms DOUBLE, failure VARCHAR, exit INTEGER,
        ended_by VARCHAR, tests VARCHAR, tree VARCHAR, read VARCHAR[], created VARCHAR[], wrote VARCHAR[]),
    note STRUCT(happened TIMESTAMP, ok BOOLEAN, failure VARCHAR, loop BOOLEAN),
    ok BOOLEAN,
    ended TIMESTAMP,
    failure VARCHAR,
    ms DOUBLE
);

CREATE TABLE run_board (
    task VARCHAR,
    run VARCHAR,
    agent VARCHAR,
    phase VARCHAR,
    role VARCHAR,
    mind VARCHAR,
    attempt INTEGER,
    recovery VARCHAR,
    turns INTEGER,
    started TIMESTAMP,
    ended TIMESTAMP,
    said VARCHAR,
    reason VARCHAR,
    failure VARCHAR,
    tree VARCHAR,
    summary VARCHAR,
    artifacts BIGINT,
    first_place UBIGINT
);

-- What went wrong outside of the steps, and what was tried against it: few facts, kept apart so that nobody looks for
-- them among all the others.
CREATE TABLE trouble (
    spot UBIGINT,
    happened TIMESTAMP,
    level VARCHAR,
    type VARCHAR,
    task VARCHAR,
    run VARCHAR,
    phase VARCHAR,
    call VARCHAR,
    failure VARCHAR,
    strategy VARCHAR,
    ok BOOLEAN,
    body VARCHAR
);

-- How far the task board is, what made the tables, and what holds for all tasks there: how many may run, and whether
-- anybody may. The facts are as far as the last of them: no record has none.
CREATE TABLE position (board UBIGINT, schema VARCHAR, slots INTEGER, frozen BOOLEAN);

-- The order of events: by commit, then within the commit, which is at most 64 KiB long.
CREATE MACRO place(seq, n) AS seq * 65536 + n;

-- A piece of an event that no column holds; nothing where the event cannot be read that far. To look whether a
-- name occurs at all is much cheaper than to read the event, and most do not.
CREATE MACRO piece(body, path) AS
    CASE WHEN contains(body, split_part(path, '.', -1)) THEN TRY(json_extract_string(body, path)) END;
CREATE MACRO texts(body, path) AS TRY(CAST(json_extract(body, path) AS VARCHAR[]));

-- The Beta distribution after so many wins and losses: how likely the rate is at most x, and the rate that this share of
-- it lies below, found by halves to nine places.
CREATE MACRO rate_below(x, wins, losses) AS list_sum(list_transform(
    range((wins + 1)::BIGINT, (wins + losses + 2)::BIGINT),
    lambda k: exp(lgamma(wins + losses + 2) - lgamma(k + 1) - lgamma(wins + losses + 2 - k)
        + k * ln(x) + (wins + losses + 1 - k) * ln(1 - x))
));
CREATE MACRO rate_at(share, wins, losses) AS round(list_reduce(
    list_transform(range(1, 31), lambda place: 0.5::DOUBLE ** place),
    lambda low, step: CASE WHEN rate_below(low + step, wins, losses) < share THEN low + step ELSE low END,
    0::DOUBLE
), 4);

-- What a council's calls were reserved and did cost; a reservation is council/<id>-<member>/<turn>/<again>.
CREATE MACRO council_of(reservation) AS regexp_extract(reservation, '^council/(.+)-[^-/]+/', 1);
CREATE MACRO member_of(reservation) AS regexp_extract(reservation, '^council/.+-([^-/]+)/', 1);

-- take: what came from the log and is not here yet; DuckDB reads the JSON, Python never does.
INSERT INTO facts BY NAME
WITH opened AS (
    SELECT
        seq, body, string_split(subject, '.') AS route, try_cast(body AS JSON) AS json,
        json_transform(json, '{"id": "VARCHAR", "at": "TIMESTAMP", "by": "VARCHAR", "cause": "VARCHAR",
            "flow": "VARCHAR", "v": "UINTEGER", "events": [{"type": "VARCHAR", "task": "VARCHAR",
            "workflow": "VARCHAR", "phases": ["VARCHAR"], "priority": "INTEGER", "phase": "VARCHAR",
            "role": "VARCHAR", "agent": "VARCHAR", "run": "VARCHAR", "attempt": "INTEGER", "epoch": "INTEGER",
            "reason": "VARCHAR", "order": "VARCHAR", "pipeline": "VARCHAR", "limit": "INTEGER",
            "capacity": "INTEGER", "mind": "VARCHAR", "lease_s": "DOUBLE", "actor": "VARCHAR",
            "actors": ["VARCHAR"],
            "artifacts": [{"name": "VARCHAR", "type": "VARCHAR", "sha256": "VARCHAR", "bytes": "BIGINT"}]}]}'
        ) AS said,
        json_extract(json, '$.events[*]')::VARCHAR[] AS bodies
    FROM batch
    WHERE seq > $position
),
checked AS (
    SELECT seq, route, body, said, bodies,
        coalesce(said.id <> '' AND len(said.events) > 0 AND len(said.events) = len(bodies)
            AND len(route) BETWEEN 3 AND 4 AND route[1] = 'evt', false) AS readable
    FROM opened
),
one_by_one AS (
    SELECT
        seq, route, said.id AS commit_id, said.at AS happened, said.by AS writer, said.cause AS cause,
        said.flow AS flow, said.v AS v,
        unnest(CASE WHEN readable THEN said.events ELSE [NULL] END) AS event,
        unnest(CASE WHEN readable THEN bodies ELSE [left(body, 1000)] END) AS body,
        unnest(range(CASE WHEN readable THEN len(bodies) ELSE 1 END)) AS n
    FROM checked
),
flat AS (
    SELECT seq, route, commit_id, happened, writer, cause, flow, v, body, n, unnest(event) FROM one_by_one
)
SELECT
    seq, n, happened, writer, cause, commit_id, flow, v,
    route[2] AS kind, coalesce(route[4], route[3]) AS id, CASE WHEN len(route) = 4 THEN route[3] END AS owner,
    coalesce(type, 'Unreadable') AS type,
    CASE type WHEN 'TaskSubmitted' THEN task END AS text,
    CASE WHEN route[2] = 'task' THEN route[3] ELSE task END AS task,
    workflow, phases,
    CASE WHEN type IN ('TaskSubmitted', 'PipelineQueued') THEN coalesce(priority, 0) ELSE priority END AS priority,
    phase, role, agent, run,
    CASE WHEN type IN ('PhaseRequested', 'PhaseFailed', 'WorkAssigned', 'RunStarted')
        THEN coalesce(attempt, 1) ELSE attempt END AS attempt,
    CASE WHEN type = 'PhaseAssigned' THEN coalesce(epoch, 1) ELSE epoch END AS epoch,
    CASE WHEN type IN ('PipelinePaused', 'PipelineResumed', 'OverrideApplied', 'TaskReset', 'TaskCancelled',
        'PauseOrdered', 'ResumeOrdered', 'OverrideOrdered', 'FreezeOrdered', 'ThawOrdered')
        THEN coalesce(reason, '') ELSE reason END AS reason,
    CASE WHEN type IN ('PauseOrdered', 'ResumeOrdered', 'OverrideOrdered') THEN route[3] ELSE "order" END AS order_id,
    pipeline, "limit" AS slots,
    CASE WHEN type = 'AgentJoined' THEN coalesce(capacity, 1) ELSE capacity END AS capacity,
    mind,
    CASE WHEN type = 'WorkAssigned' THEN coalesce(lease_s, 60) ELSE lease_s END AS lease_s,
    actor, actors, artifacts, body
FROM flat;

-- advance: the facts are this far now, in the transaction that put them there.
UPDATE position SET facts = $seq;

-- fold: write down what the board is now, for the tasks that the tail speaks of.
MERGE INTO board
USING (SELECT board_now.* FROM board_now SEMI JOIN changed ON board_now.id = changed.id) AS now
ON board.id = now.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- folded: the board is as far as the facts, in the transaction that wrote it.
UPDATE position SET board = facts;

-- begin
BEGIN TRANSACTION;

-- commit
COMMIT;

-- rollback
ROLLBACK;

-- checkpoint
CHECKPOINT;

-- found: the files that made the tables.
SELECT schema FROM position;

-- start: an empty log has been read.
INSERT INTO position VALUES (0, 0, $schema);

-- position
SELECT facts, board FROM position;

-- moment: the time of the newest commit at or before a place.
SELECT arg_max(happened, seq) FROM facts WHERE seq BETWEEN $seq::UBIGINT - least(1000, $seq::UBIGINT) AND $seq;

-- place: the last place at or before a time.
SELECT coalesce(max(seq), 0) FROM facts WHERE happened <= $moment::TIMESTAMP;

-- upto: what the views of this connection may see.
SET VARIABLE upto = $seq;

-- folded_at: from where the views of this connection must look at the facts themselves.
SET VARIABLE folded = $seq;

-- columns: what a table or view holds.
SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $name ORDER BY column_index;

-- fingerprint: all rows of a table or view in one number, whatever their order.
SELECT count(*) AS rows, coalesce(sum(hash(t)), 0)::VARCHAR AS total, coalesce(bit_xor(hash(t)), 0) AS mixed
FROM query_table($name) AS t;

-- limit_time: no question may hold a reader for ever.
SET max_execution_time = $ms;

-- lock: nothing that is set can be set otherwise.
SET lock_configuration = true;

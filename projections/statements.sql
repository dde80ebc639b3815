-- take: what came from the log and is not here yet; DuckDB reads the JSON, Python never does.
INSERT INTO facts BY NAME
WITH new AS (
    SELECT seq, subject, body, string_split(subject, '.') AS route, try_cast(body AS JSON) AS json
    FROM batch
    WHERE seq > (SELECT facts FROM position)
),
opened AS (
    SELECT
        seq, subject, body, route,
        json_transform(json, '{"id": "VARCHAR", "at": "TIMESTAMP", "by": "VARCHAR", "cause": "VARCHAR",
            "flow": "VARCHAR", "v": "UINTEGER", "events": [{"type": "VARCHAR", "task": "VARCHAR",
            "workflow": "VARCHAR", "phases": ["VARCHAR"], "priority": "INTEGER", "phase": "VARCHAR",
            "role": "VARCHAR", "agent": "VARCHAR", "run": "VARCHAR", "attempt": "INTEGER", "epoch": "INTEGER",
            "reason": "VARCHAR", "order": "VARCHAR", "pipeline": "VARCHAR", "limit": "INTEGER",
            "capacity": "INTEGER", "mind": "VARCHAR", "lease_s": "DOUBLE", "actor": "VARCHAR",
            "actors": ["VARCHAR"],
            "artifacts": [{"name": "VARCHAR", "type": "VARCHAR", "sha256": "VARCHAR", "bytes": "BIGINT"}]}]}'
        ) AS said,
        json_extract(json, '$.events[*]') AS bodies
    FROM new
),
checked AS (
    SELECT *, coalesce(len(said.events), 0) > 0 AND len(said.events) = len(bodies)
        AND len(route) BETWEEN 3 AND 4 AND route[1] = 'evt' AND said.id IS NOT NULL AS readable
    FROM opened
),
one_by_one AS (
    SELECT
        seq, route, readable, said,
        unnest(CASE WHEN readable THEN said.events ELSE [NULL] END) AS event,
        unnest(CASE WHEN readable THEN bodies::VARCHAR[] ELSE [left(body, 1000)] END) AS body,
        unnest(range(CASE WHEN readable THEN len(bodies) ELSE 1 END)) AS n
    FROM checked
),
named AS (
    SELECT *, CASE WHEN readable THEN coalesce(event.type, 'Unreadable') ELSE 'Unreadable' END AS type
    FROM one_by_one
)
SELECT
    seq, n, said.at AS happened,
    route[2] AS kind, coalesce(route[4], route[3]) AS id, CASE WHEN len(route) = 4 THEN route[3] END AS owner,
    said.by AS writer, said.cause AS cause, said.id AS commit_id, said.flow AS flow, said.v AS v, type,
    CASE type WHEN 'TaskSubmitted' THEN event.task END AS text,
    CASE WHEN route[2] = 'task' THEN route[3] ELSE event.task END AS task,
    event.workflow AS workflow, event.phases AS phases,
    CASE WHEN type IN ('TaskSubmitted', 'PipelineQueued') THEN coalesce(event.priority, 0) ELSE event.priority END
        AS priority,
    event.phase AS phase, event.role AS role, event.agent AS agent, event.run AS run,
    CASE WHEN type IN ('PhaseRequested', 'PhaseFailed', 'WorkAssigned', 'RunStarted')
        THEN coalesce(event.attempt, 1) ELSE event.attempt END AS attempt,
    CASE WHEN type = 'PhaseAssigned' THEN coalesce(event.epoch, 1) ELSE event.epoch END AS epoch,
    CASE WHEN type IN ('PipelinePaused', 'PipelineResumed', 'OverrideApplied', 'TaskReset', 'TaskCancelled',
        'PauseOrdered', 'ResumeOrdered', 'OverrideOrdered', 'FreezeOrdered', 'ThawOrdered')
        THEN coalesce(event.reason, '') ELSE event.reason END AS reason,
    CASE WHEN type IN ('PauseOrdered', 'ResumeOrdered', 'OverrideOrdered') THEN route[3] ELSE event."order" END
        AS order_id,
    event.pipeline AS pipeline, event."limit" AS slots,
    CASE WHEN type = 'AgentJoined' THEN coalesce(event.capacity, 1) ELSE event.capacity END AS capacity,
    event.mind AS mind,
    CASE WHEN type = 'WorkAssigned' THEN coalesce(event.lease_s, 60) ELSE event.lease_s END AS lease_s,
    event.actor AS actor, event.actors AS actors, event.artifacts AS artifacts, body
FROM named;

-- advance: the facts are this far now, in the transaction that put them there.
UPDATE position SET
    facts = $seq,
    happened = coalesce((SELECT arg_max(happened, seq) FROM facts WHERE seq > position.facts AND seq <= $seq), happened)
WHERE facts < $seq;

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
INSERT INTO position VALUES (0, 0, NULL, $schema);

-- position
SELECT facts, board, happened FROM position;

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
SET max_execution_time = 20000;

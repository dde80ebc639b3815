-- artifacts: what the runs produced; the content itself is in the log or in the blob store under its sha256.
-- filters: task, phase, name, type, agent, run, sha256
CREATE VIEW artifacts AS
WITH made AS (
    SELECT seq, n, happened, flow AS task, owner AS agent, id AS run, unnest(artifacts) AS artifact,
        generate_subscripts(artifacts, 1) AS i
    FROM events
    WHERE kind = 'run' AND type = 'RunFinished'
),
started AS (
    SELECT flow AS task, id AS run, arg_max(phase, place(seq, n)) AS phase
    FROM events
    WHERE kind = 'run' AND type = 'RunStarted'
    GROUP BY flow, id
)
SELECT
    made.task, started.phase, made.artifact.name AS name, made.artifact.type AS type, made.artifact.sha256 AS sha256,
    made.artifact.bytes AS bytes, made.agent, made.run, made.happened, made.seq, made.n, made.i
FROM made
LEFT JOIN started ON started.task = made.task AND started.run = made.run;

-- ask
SELECT * EXCLUDE (n, i) FROM artifacts
WHERE ($task IS NULL OR task = $task)
    AND ($phase IS NULL OR phase = $phase)
    AND ($name IS NULL OR name = $name)
    AND ($type IS NULL OR type = $type)
    AND ($agent IS NULL OR agent = $agent)
    AND ($run IS NULL OR run = $run)
    AND ($sha256 IS NULL OR sha256 = $sha256)
ORDER BY seq, n, i
LIMIT $limit OFFSET $offset;

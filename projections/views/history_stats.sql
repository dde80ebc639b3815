-- history_stats: how often things go well, and what they take: tasks, runs by role and by phase, steps a run, tools, recoveries.
-- filters: what, name
CREATE VIEW history_stats AS
WITH tasks AS (
    SELECT 'task' AS what, workflow AS name, status = 'completed' AS ok, 's' AS unit,
        CASE WHEN isfinite(ended) THEN epoch(ended - created) END AS took
    FROM board_now
    WHERE status IN ('completed', 'failed', 'cancelled')
),
runs AS (
    SELECT run, role, phase, said = 'RunFinished' AS ok, epoch(ended - started) AS took
    FROM run_now
    WHERE said IS NOT NULL
),
steps AS (
    SELECT run, tool, ok, ms FROM step_now
),
counted AS (
    SELECT run, count(*) AS steps FROM steps GROUP BY run
),
mended AS (
    SELECT 'recovery' AS what, failure AS name, ok, NULL AS unit, NULL::DOUBLE AS took
    FROM trouble_now
    WHERE type IN ('RecoveryEnded', 'StepRecoveryEnded')
),
told AS (
    FROM tasks
    UNION ALL SELECT 'role', role, ok, 's', took FROM runs
    UNION ALL SELECT 'phase', phase, ok, 's', took FROM runs
    UNION ALL SELECT 'run', 'all', runs.ok, 'steps', coalesce(counted.steps, 0)
        FROM runs LEFT JOIN counted ON counted.run = runs.run
    UNION ALL SELECT 'tool', tool, ok, 'ms', ms FROM steps WHERE ok IS NOT NULL
    UNION ALL FROM mended
),
measured AS (
    SELECT
        what, name,
        count(*) AS n,
        count(*) FILTER (ok) AS succeeded,
        avg(took::DECIMAL(18, 3)) AS mean,
        quantile_cont(took, [0.5, 0.95]) AS parts,
        any_value(unit) AS unit
    FROM told
    GROUP BY what, name
)
SELECT
    what, name, n, succeeded,
    round(succeeded / n, 4) AS rate,
    round(mean, 3) AS mean,
    round(parts[1], 3) AS p50,
    round(parts[2], 3) AS p95,
    unit
FROM measured;

-- ask
SELECT * FROM history_stats
WHERE ($what IS NULL OR what = $what) AND ($name IS NULL OR name = $name)
ORDER BY array_position(['task', 'role', 'phase', 'run', 'tool', 'recovery'], what), n DESC, name
LIMIT $limit OFFSET $offset;

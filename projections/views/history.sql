-- history: every task and what it took: runs, turns, steps, errors, seconds, and how many failures were made good.
-- filters: task, status, workflow
CREATE VIEW history AS
WITH runs AS (
    SELECT task, count(*) AS runs, sum(turns) AS turns, count(*) FILTER (said = 'RunFailed') AS failed
    FROM run_now
    GROUP BY task
),
steps AS (
    SELECT task, count(*) AS steps, count(*) FILTER (NOT ok) AS errors
    FROM step_now
    GROUP BY task
),
mended AS (
    SELECT task, count(*) AS recovered
    FROM trouble_now
    WHERE type IN ('RecoveryEnded', 'StepRecoveryEnded') AND ok
    GROUP BY task
)
SELECT
    board.id AS task, board.text, board.status, board.workflow,
    board.done || '/' || len(board.phases) AS phases,
    coalesce(runs.runs, 0) AS runs,
    coalesce(runs.failed, 0) AS failed_runs,
    coalesce(runs.turns, 0)::BIGINT AS turns,
    coalesce(steps.steps, 0) AS steps,
    coalesce(steps.errors, 0) AS errors,
    coalesce(mended.recovered, 0) AS recovered,
    round(epoch(coalesce(CASE WHEN isfinite(board.ended) THEN board.ended END, board.updated) - board.created), 3)
        AS seconds,
    board.created AS started,
    CASE WHEN isfinite(board.ended) THEN board.ended END AS ended,
    nullif(board.reason, '') AS reason, board.first_seq
FROM board_now AS board
LEFT JOIN runs ON runs.task = board.id
LEFT JOIN steps ON steps.task = board.id
LEFT JOIN mended ON mended.task = board.id;

-- ask
SELECT * EXCLUDE (first_seq) FROM history
WHERE ($task IS NULL OR task = $task)
    AND ($status IS NULL OR status = $status)
    AND ($workflow IS NULL OR workflow = $workflow)
ORDER BY first_seq DESC, task
LIMIT $limit OFFSET $offset;

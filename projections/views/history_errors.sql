-- history_errors: every type of failure: how often, where last, what was tried against it, and how often that helped.
-- filters: failure
CREATE VIEW history_errors AS
WITH seen AS (
    SELECT coalesce(failure, 'unknown') AS failure, 'step' AS level, task,
        coalesce(told, asked) AS spot
    FROM step_now
    WHERE NOT ok
    UNION ALL
    SELECT coalesce(failure, 'unknown'), CASE kind WHEN 'run' THEN 'run' ELSE 'reply' END,
        nullif(flow, ''), place(seq, n)
    FROM events
    WHERE (kind = 'run' AND type = 'RunFailed') OR (kind = 'call' AND type = 'ModelFailed')
),
summed AS (
    SELECT
        failure,
        count(*) AS n,
        count(*) FILTER (level = 'step') AS steps,
        count(*) FILTER (level = 'reply') AS replies,
        count(*) FILTER (level = 'run') AS runs,
        max(spot) AS spot,
        arg_max(task, spot) AS last_task
    FROM seen
    GROUP BY failure
),
tried AS (
    SELECT failure,
        list_sort(list(DISTINCT piece(body, '$.strategy'))) AS strategies
    FROM events
    WHERE type IN ('RecoveryStarted', 'StepRecoveryStarted')
    GROUP BY failure
),
mended AS (
    SELECT failure, count(*) AS attempts, count(*) FILTER (ok) AS recovered
    FROM events
    WHERE type IN ('RecoveryEnded', 'StepRecoveryEnded')
    GROUP BY failure
)
SELECT
    summed.failure, summed.n, summed.steps, summed.replies, summed.runs,
    coalesce(mended.attempts, 0) AS attempts,
    coalesce(mended.recovered, 0) AS recovered,
    round(mended.recovered / mended.attempts, 4) AS share,
    coalesce(tried.strategies, []) AS strategies,
    summed.last_task,
    example.happened AS last_at,
    left(coalesce(example.reason, piece(example.body, '$.output.text')), 500) AS example
FROM summed
LEFT JOIN tried ON tried.failure = summed.failure
LEFT JOIN mended ON mended.failure = summed.failure
LEFT JOIN events AS example ON example.seq = summed.spot // 65536 AND example.n = summed.spot % 65536;

-- ask
SELECT * FROM history_errors
WHERE ($failure IS NULL OR failure = $failure)
ORDER BY n DESC, failure
LIMIT $limit OFFSET $offset;

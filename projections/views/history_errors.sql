-- history_errors: every type of failure: how often, where last, what was tried against it, and how often that helped.
-- filters: failure
CREATE VIEW history_errors AS
WITH seen AS (
    SELECT coalesce(failure, 'unknown') AS failure, 'step' AS level, task,
        coalesce(told, asked) AS spot
    FROM step_now
    WHERE NOT ok
    UNION ALL
    SELECT coalesce(failure, 'unknown'), level, task, spot
    FROM trouble_now
    WHERE type IN ('RunFailed', 'ModelFailed')
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
        list_sort(list(DISTINCT strategy) FILTER (strategy IS NOT NULL)) AS strategies,
        count(*) FILTER (type IN ('RecoveryEnded', 'StepRecoveryEnded')) AS attempts,
        count(*) FILTER (type IN ('RecoveryEnded', 'StepRecoveryEnded') AND ok) AS recovered
    FROM trouble_now
    WHERE type NOT IN ('RunFailed', 'ModelFailed')
    GROUP BY failure
)
SELECT
    summed.failure, summed.n, summed.steps, summed.replies, summed.runs,
    coalesce(tried.attempts, 0) AS attempts,
    coalesce(tried.recovered, 0) AS recovered,
    round(tried.recovered / nullif(tried.attempts, 0), 4) AS share,
    coalesce(tried.strategies, []) AS strategies,
    summed.last_task,
    example.happened AS last_at,
    left(coalesce(example.reason, piece(example.body, '$.output.text')), 500) AS example
FROM summed
LEFT JOIN tried ON tried.failure = summed.failure
LEFT JOIN events AS example ON example.seq = summed.spot // 65536 AND example.n = summed.spot % 65536;

-- ask
SELECT * FROM history_errors
WHERE ($failure IS NULL OR failure = $failure)
ORDER BY n DESC, failure
LIMIT $limit OFFSET $offset;

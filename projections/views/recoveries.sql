-- recoveries: every attempt to make a failure good, of a step or of a phase, and what came of it.
-- filters: task, level, run, phase, failure, strategy, outcome
CREATE VIEW recoveries AS
WITH followed AS (
    SELECT *,
        lead(type) OVER next AS next_type, lead(ok) OVER next AS next_ok, lead(happened) OVER next AS next_at
    FROM trouble_now
    WHERE type NOT IN ('RunFailed', 'ModelFailed')
    WINDOW next AS (PARTITION BY level, task, run, CASE level WHEN 'phase' THEN phase END, failure ORDER BY spot)
)
SELECT
    followed.task, followed.level, followed.run,
    coalesce(followed.phase, run_now.phase) AS phase,
    followed.call, followed.failure,
    piece(followed.body, '$.severity') AS severity,
    followed.strategy,
    TRY_CAST(piece(followed.body, '$.tier') AS INTEGER) AS tier,
    TRY_CAST(piece(followed.body, '$.tries') AS INTEGER) AS tries,
    CASE
        WHEN next_type IS NULL THEN 'going on'
        WHEN next_type IN ('RecoveryStarted', 'StepRecoveryStarted') THEN 'failed'
        WHEN next_ok THEN 'recovered'
        ELSE 'failed'
    END AS outcome,
    round(epoch(next_at - followed.happened), 3) AS seconds,
    piece(followed.body, '$.hint') AS hint,
    piece(followed.body, '$.error') AS error,
    followed.happened AS started, next_at AS ended, spot
FROM followed
LEFT JOIN run_now ON run_now.run = followed.run
WHERE followed.type IN ('RecoveryStarted', 'StepRecoveryStarted');

-- ask
SELECT * EXCLUDE (spot) FROM recoveries
WHERE ($task IS NULL OR task = $task)
    AND ($level IS NULL OR level = $level)
    AND ($run IS NULL OR run = $run)
    AND ($phase IS NULL OR phase = $phase)
    AND ($failure IS NULL OR failure = $failure)
    AND ($strategy IS NULL OR strategy = $strategy)
    AND ($outcome IS NULL OR outcome = $outcome)
ORDER BY spot
LIMIT $limit OFFSET $offset;

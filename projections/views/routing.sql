-- routing: every decision about who does a phase: by the rules, by a person or by the cto, with how hard the task was and why; the newest first.
-- filters: task, phase, role, agent, by_whom
CREATE VIEW routing AS
SELECT
    id AS task, phase, role, nullif(agent, '') AS agent,
    TRY_CAST(piece(body, '$.complexity') AS DOUBLE) AS complexity,
    TRY_CAST(piece(body, '$.confidence') AS DOUBLE) AS confidence,
    nullif(reason, '') AS reason, nullif(piece(body, '$.by'), '') AS by_whom,
    coalesce(piece(body, '$.review') = 'true', false) AS looks_first,
    happened AS decided, place(seq, n) AS spot
FROM events
WHERE kind = 'task' AND type = 'TaskRouted';

-- ask
SELECT * EXCLUDE (spot) FROM routing
WHERE ($task IS NULL OR task = $task)
    AND ($phase IS NULL OR phase = $phase)
    AND ($role IS NULL OR role = $role)
    AND ($agent IS NULL OR agent = $agent)
    AND ($by_whom IS NULL OR by_whom = $by_whom)
ORDER BY spot DESC
LIMIT $limit OFFSET $offset;

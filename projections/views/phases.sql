-- phases: every phase of every task: who did it, how often it was tried, how long it took.
-- filters: task, phase, status, agent
CREATE VIEW phases AS
WITH told AS (
    SELECT
        task, phase,
        arg_max(CASE type
            WHEN 'PhaseRequested' THEN 'requested'
            WHEN 'PhaseAssigned' THEN 'running'
            WHEN 'AssignmentLost' THEN 'lost'
            WHEN 'PhaseCompleted' THEN 'completed'
            WHEN 'PhaseFailed' THEN 'failed'
        END, place(seq, n)) AS status,
        arg_max(agent, place(seq, n)) AS agent,
        arg_max(run, place(seq, n)) AS run,
        count(*) FILTER (type = 'PhaseAssigned') AS attempts,
        min(happened) FILTER (type = 'PhaseAssigned') AS started,
        max(happened) FILTER (type IN ('PhaseCompleted', 'PhaseFailed')) AS ended,
        arg_max(reason, place(seq, n)) FILTER (type IN ('PhaseFailed', 'AssignmentLost')) AS reason,
        min(place(seq, n)) AS first_place,
        max(place(seq, n)) AS last_place,
        max(seq) AS last_seq
    FROM events
    WHERE kind = 'task'
        AND type IN ('PhaseRequested', 'PhaseAssigned', 'AssignmentLost', 'PhaseCompleted', 'PhaseFailed')
    GROUP BY task, phase
),
reopened AS (
    SELECT told.task, told.phase, max(place(events.seq, events.n)) AS last_place
    FROM told
    JOIN events ON events.task = told.task AND events.kind = 'task' AND events.type = 'PhaseReopened'
    JOIN board_now ON board_now.id = told.task
    WHERE list_position(board_now.phases, events.phase) <= list_position(board_now.phases, told.phase)
    GROUP BY told.task, told.phase
)
SELECT
    told.task, told.phase,
    CASE WHEN reopened.last_place > told.last_place THEN 'reopened'
        WHEN told.status IN ('requested', 'running', 'lost') AND board_now.status IN ('failed', 'cancelled')
        THEN 'stopped' ELSE told.status END AS status,
    told.agent, told.run, told.attempts, told.started,
    CASE WHEN told.status IN ('completed', 'failed') THEN told.ended END AS ended,
    CASE WHEN told.status IN ('completed', 'failed') THEN round(epoch(told.ended - told.started), 3) END AS seconds,
    told.reason, told.first_place, told.last_seq
FROM told
LEFT JOIN board_now ON board_now.id = told.task
LEFT JOIN reopened ON reopened.task = told.task AND reopened.phase = told.phase;

-- ask
SELECT * EXCLUDE (first_place) FROM phases
WHERE ($task IS NULL OR task = $task)
    AND ($phase IS NULL OR phase = $phase)
    AND ($status IS NULL OR status = $status)
    AND ($agent IS NULL OR agent = $agent)
ORDER BY first_place
LIMIT $limit OFFSET $offset;

-- pipelines: the tasks that are not over: phase by phase, with the slots in use and the place in the queue.
-- filters: id, status, phase, agent
CREATE VIEW pipelines AS
WITH open AS (
    SELECT * FROM board_now WHERE status IN ('pending', 'running', 'paused', 'waiting')
),
wanted AS (
    SELECT id, unnest(phases) AS phase, unnest(range(len(phases))) AS at_index FROM open
),
told AS (
    SELECT task, phase, arg_max(CASE type
        WHEN 'PhaseRequested' THEN 'requested'
        WHEN 'PhaseAssigned' THEN 'running'
        WHEN 'AssignmentLost' THEN 'lost'
        WHEN 'PhaseCompleted' THEN 'completed'
        WHEN 'PhaseFailed' THEN 'failed'
    END, place(seq, n)) AS status,
        max(place(seq, n)) FILTER (type = 'PhaseReopened') AS reopened,
        max(place(seq, n)) FILTER (type IN ('PhaseRequested', 'PhaseAssigned', 'AssignmentLost', 'PhaseCompleted',
            'PhaseFailed')) AS last_place
    FROM events
    WHERE kind = 'task' AND task IN (SELECT id FROM open)
    GROUP BY task, phase
),
placed AS (
    SELECT wanted.id, wanted.phase, at_index, told.status, told.last_place,
        max(told.reopened) OVER (PARTITION BY wanted.id ORDER BY at_index) AS reopened
    FROM wanted
    LEFT JOIN told ON told.task = wanted.id AND told.phase = wanted.phase
),
steps AS (
    SELECT id, string_agg(phase || ':' || CASE WHEN status IS NULL OR reopened > last_place THEN 'waiting' ELSE status END,
        ' ' ORDER BY at_index) AS steps
    FROM placed
    GROUP BY id
),
queue AS (
    SELECT task, row_number() OVER (ORDER BY priority DESC, queued) AS queue_place
    FROM admission
    WHERE said = 'PipelineQueued'
)
SELECT
    open.id, open.status, open.phase,
    open.done || '/' || len(open.phases) AS progress,
    steps.steps,
    nullif(open.agent, '') AS agent,
    open.attempt, open.priority,
    queue.queue_place,
    (SELECT count(*) FROM admission WHERE said = 'PipelineAdmitted') AS slots_used,
    coalesce((SELECT arg_max(slots, place(seq, n)) FROM events WHERE kind = 'slots' AND type = 'SlotsResized'), 2) AS slots,
    coalesce((SELECT arg_max(type, place(seq, n)) = 'WorkFrozen' FROM events
        WHERE kind = 'slots' AND type IN ('WorkFrozen', 'WorkThawed')), false) AS frozen,
    open.text, open.created, open.updated,
    nullif(open.reason, '') AS reason,
    open.first_seq
FROM open
LEFT JOIN steps ON steps.id = open.id
LEFT JOIN queue ON queue.task = open.id;

-- ask
SELECT * EXCLUDE (first_seq) FROM pipelines
WHERE ($id IS NULL OR id = $id)
    AND ($status IS NULL OR status = $status)
    AND ($phase IS NULL OR phase = $phase)
    AND ($agent IS NULL OR agent = $agent)
ORDER BY queue_place NULLS FIRST, first_seq
LIMIT $limit OFFSET $offset;

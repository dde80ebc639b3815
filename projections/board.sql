-- The task board: the one thing with a life of its own, so one row per task is kept and merged from the tail.
-- An empty text or an infinite past means "not any more", because arg_max passes over NULL.

CREATE TABLE board (
    id VARCHAR,
    text VARCHAR,
    workflow VARCHAR,
    phases VARCHAR[],
    priority INTEGER,
    status VARCHAR,
    phase VARCHAR,
    attempt INTEGER,
    agent VARCHAR,
    run VARCHAR,
    reason VARCHAR,
    done BIGINT,
    items BIGINT,
    ticked BIGINT[],
    began TIMESTAMP,
    last_tick TIMESTAMP,
    created TIMESTAMP,
    updated TIMESTAMP,
    ended TIMESTAMP,
    first_seq UBIGINT,
    last_seq UBIGINT
);

CREATE VIEW kept AS
SELECT * FROM board WHERE coalesce(getvariable('folded'), 0) > 0;

-- What the tail says about each task that occurs in it; its checklist grows and is ticked off in the steps of its runs.
CREATE VIEW changed AS
SELECT
    CASE kind WHEN 'task' THEN id ELSE flow END AS id,
    bool_or(kind = 'task') AS of_task,
    arg_max(text, place(seq, n)) AS text,
    arg_max(workflow, place(seq, n)) AS workflow,
    arg_max(phases, place(seq, n)) AS phases,
    arg_max(priority, place(seq, n)) FILTER (type = 'TaskSubmitted') AS priority,
    arg_max(CASE type
        WHEN 'TaskSubmitted' THEN 'pending'
        WHEN 'PipelineStarted' THEN 'running'
        WHEN 'PipelineResumed' THEN 'pending'
        WHEN 'PipelinePaused' THEN 'paused'
        WHEN 'PersonAsked' THEN 'waiting'
        WHEN 'TaskCompleted' THEN 'completed'
        WHEN 'TaskFailed' THEN 'failed'
        WHEN 'TaskCancelled' THEN 'cancelled'
    END, place(seq, n)) AS status,
    arg_max(type, place(seq, n)) FILTER (type IN ('TaskSubmitted', 'PipelineStarted', 'PipelineResumed',
        'PipelinePaused', 'PersonAsked', 'TaskCompleted', 'TaskFailed', 'TaskCancelled', 'TaskReset')) = 'TaskReset'
        AS was_reset,
    arg_max(phase, place(seq, n)) FILTER (type IN ('PhaseRequested', 'PhaseAssigned')) AS phase,
    arg_max(attempt, place(seq, n)) FILTER (type = 'PhaseRequested') AS attempt,
    arg_max(CASE
        WHEN type = 'PhaseAssigned' THEN agent
        WHEN type IN ('PhaseRequested', 'PhaseCompleted', 'PhaseFailed', 'AssignmentLost', 'TaskReset',
            'TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN ''
    END, place(seq, n)) AS agent,
    arg_max(CASE
        WHEN type = 'PhaseAssigned' THEN run
        WHEN type IN ('PhaseRequested', 'PhaseCompleted', 'PhaseFailed', 'AssignmentLost', 'TaskReset',
            'TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN ''
    END, place(seq, n)) AS run,
    arg_max(CASE
        WHEN type IN ('PipelineStarted', 'PipelineResumed', 'PhaseCompleted', 'TaskCompleted') THEN ''
        WHEN type IN ('PipelinePaused', 'PhaseFailed', 'AssignmentLost', 'TaskReset', 'TaskFailed', 'TaskCancelled')
            THEN reason
        WHEN type = 'PersonAsked' THEN piece(body, '$.question')
        WHEN type = 'PhaseReopened' THEN piece(body, '$.because')
    END, place(seq, n)) AS reason,
    arg_max(CASE WHEN type IN ('PhaseCompleted', 'PhaseReopened') THEN phase END, place(seq, n)) AS turned_phase,
    arg_max(type, place(seq, n)) FILTER (type IN ('PhaseCompleted', 'PhaseReopened')) AS turned,
    sum(CASE type
        WHEN 'TaskSubmitted' THEN len(texts(body, '$.checklist'))
        WHEN 'ChecklistExtended' THEN len(texts(body, '$.items'))
    END)::BIGINT AS items,
    list(CASE type WHEN 'ChecklistItemDone' THEN TRY_CAST(piece(body, '$.item') AS BIGINT) END)
        FILTER (type = 'ChecklistItemDone') AS ticked,
    arg_min(CASE type WHEN 'PipelineStarted' THEN happened END, place(seq, n)) AS began,
    arg_max(CASE type WHEN 'ChecklistItemDone' THEN happened END, place(seq, n)) AS last_tick,
    min(happened) FILTER (kind = 'task') AS created,
    max(happened) FILTER (kind = 'task') AS updated,
    arg_max(CASE
        WHEN type IN ('TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN happened
        WHEN type = 'TaskReset' THEN '-infinity'::TIMESTAMP
    END, place(seq, n)) AS ended,
    min(seq) FILTER (kind = 'task') AS first_seq,
    max(seq) FILTER (kind = 'task') AS last_seq
FROM tail
WHERE (kind = 'task' AND type <> 'Unreadable')
    OR (kind = 'step' AND flow <> '' AND type IN ('ChecklistExtended', 'ChecklistItemDone'))
GROUP BY ALL;

-- The board as it is now: what is kept, and what the tail adds to it. The fold writes exactly this down.
CREATE VIEW board_now AS
SELECT
    coalesce(old.id, new.id) AS id,
    coalesce(new.text, old.text) AS text,
    coalesce(new.workflow, old.workflow) AS workflow,
    coalesce(new.phases, old.phases) AS phases,
    coalesce(new.priority, old.priority) AS priority,
    CASE WHEN new.was_reset AND coalesce(new.status, old.status) IN ('failed', 'waiting') THEN 'pending'
        ELSE coalesce(new.status, old.status) END AS status,
    coalesce(new.phase, old.phase) AS phase,
    coalesce(new.attempt, old.attempt) AS attempt,
    coalesce(new.agent, old.agent) AS agent,
    coalesce(new.run, old.run) AS run,
    coalesce(new.reason, old.reason) AS reason,
    CASE WHEN new.turned IS NULL THEN coalesce(old.done, 0)
        ELSE greatest(0, coalesce(list_position(coalesce(new.phases, old.phases), new.turned_phase), 0)
            - (new.turned = 'PhaseReopened')::INTEGER) END AS done,
    coalesce(old.items, 0) + coalesce(new.items, 0) AS items,
    list_sort(list_distinct(list_concat(coalesce(old.ticked, []), coalesce(new.ticked, [])))) AS ticked,
    coalesce(old.began, new.began) AS began,
    coalesce(new.last_tick, old.last_tick) AS last_tick,
    least(old.created, new.created) AS created,
    greatest(old.updated, new.updated) AS updated,
    coalesce(new.ended, old.ended) AS ended,
    coalesce(old.first_seq, new.first_seq) AS first_seq,
    coalesce(new.last_seq, old.last_seq) AS last_seq
FROM kept AS old
FULL JOIN changed AS new ON old.id = new.id
WHERE old.id IS NOT NULL OR new.of_task;

-- Who holds a slot and who waits for one.
CREATE VIEW admission AS
SELECT
    task,
    arg_max(type, place(seq, n)) AS said,
    arg_max(priority, place(seq, n)) FILTER (type = 'PipelineQueued') AS priority,
    max(place(seq, n)) FILTER (type = 'PipelineQueued') AS queued
FROM events
WHERE kind = 'slots' AND type IN ('PipelineQueued', 'PipelineAdmitted', 'PipelineReleased', 'PipelineWithdrawn')
GROUP BY task;

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
    created TIMESTAMP,
    updated TIMESTAMP,
    ended TIMESTAMP,
    first_seq UBIGINT,
    last_seq UBIGINT
);

CREATE VIEW kept AS
SELECT * FROM board WHERE coalesce(getvariable('folded'), 0) > 0;

-- What the tail says about each task that occurs in it.
CREATE VIEW changed AS
SELECT
    id,
    arg_max(text, place(seq, n)) AS text,
    arg_max(workflow, place(seq, n)) AS workflow,
    arg_max(phases, place(seq, n)) AS phases,
    arg_max(priority, place(seq, n)) FILTER (type = 'TaskSubmitted') AS priority,
    arg_max(CASE type
        WHEN 'TaskSubmitted' THEN 'pending'
        WHEN 'PipelineStarted' THEN 'running'
        WHEN 'PipelineResumed' THEN 'pending'
        WHEN 'PipelinePaused' THEN 'paused'
        WHEN 'TaskCompleted' THEN 'completed'
        WHEN 'TaskFailed' THEN 'failed'
        WHEN 'TaskCancelled' THEN 'cancelled'
    END, place(seq, n)) AS status,
    arg_max(type, place(seq, n)) FILTER (type IN ('TaskSubmitted', 'PipelineStarted', 'PipelineResumed',
        'PipelinePaused', 'TaskCompleted', 'TaskFailed', 'TaskCancelled', 'TaskReset')) = 'TaskReset' AS was_reset,
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
    END, place(seq, n)) AS reason,
    count(*) FILTER (type = 'PhaseCompleted') AS done,
    min(happened) AS created,
    max(happened) AS updated,
    arg_max(CASE
        WHEN type IN ('TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN happened
        WHEN type = 'TaskReset' THEN '-infinity'::TIMESTAMP
    END, place(seq, n)) AS ended,
    min(seq) AS first_seq,
    max(seq) AS last_seq
FROM tail
WHERE kind = 'task' AND type <> 'Unreadable'
GROUP BY id;

-- The board as it is now: what is kept, and what the tail adds to it. The fold writes exactly this down.
CREATE VIEW board_now AS
SELECT
    coalesce(old.id, new.id) AS id,
    coalesce(new.text, old.text) AS text,
    coalesce(new.workflow, old.workflow) AS workflow,
    coalesce(new.phases, old.phases) AS phases,
    coalesce(new.priority, old.priority) AS priority,
    CASE WHEN new.was_reset AND coalesce(new.status, old.status) = 'failed' THEN 'pending'
        ELSE coalesce(new.status, old.status) END AS status,
    coalesce(new.phase, old.phase) AS phase,
    coalesce(new.attempt, old.attempt) AS attempt,
    coalesce(new.agent, old.agent) AS agent,
    coalesce(new.run, old.run) AS run,
    coalesce(new.reason, old.reason) AS reason,
    coalesce(old.done, 0) + coalesce(new.done, 0) AS done,
    least(old.created, new.created) AS created,
    greatest(old.updated, new.updated) AS updated,
    coalesce(new.ended, old.ended) AS ended,
    coalesce(old.first_seq, new.first_seq) AS first_seq,
    coalesce(new.last_seq, old.last_seq) AS last_seq
FROM kept AS old
FULL JOIN changed AS new ON old.id = new.id;

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

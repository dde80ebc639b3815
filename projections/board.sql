-- The task board: what is kept of it, what the tail adds to that, and both together.

-- What the tail says about each task that occurs in it: its own events, its place in the queue, and in the steps of its
-- runs what was ticked off and how commands were held in.
CREATE VIEW changed AS
SELECT
    CASE kind WHEN 'task' THEN id WHEN 'slots' THEN task ELSE flow END AS id,
    arg_max(text, spot) AS text,
    arg_max(workflow, spot) AS workflow,
    arg_max(phases, spot) AS phases,
    arg_max(priority, spot) FILTER (type = 'TaskSubmitted') AS priority,
    arg_max(CASE type
        WHEN 'TaskSubmitted' THEN 'pending'
        WHEN 'PipelineStarted' THEN 'running'
        WHEN 'PipelineResumed' THEN 'pending'
        WHEN 'PipelinePaused' THEN 'paused'
        WHEN 'PersonAsked' THEN 'waiting'
        WHEN 'TaskCompleted' THEN 'completed'
        WHEN 'TaskFailed' THEN 'failed'
        WHEN 'TaskCancelled' THEN 'cancelled'
    END, spot) AS status,
    arg_max(type, spot) FILTER (type IN ('TaskSubmitted', 'PipelineStarted', 'PipelineResumed', 'PipelinePaused',
        'PersonAsked', 'TaskCompleted', 'TaskFailed', 'TaskCancelled', 'TaskReset')) = 'TaskReset' AS was_reset,
    arg_max(phase, spot) FILTER (type IN ('PhaseRequested', 'PhaseAssigned')) AS phase,
    arg_max(attempt, spot) FILTER (type = 'PhaseRequested') AS attempt,
    arg_max(CASE
        WHEN type IN ('PhaseAssigned', 'ReviewAssigned') THEN {agent: coalesce(agent, ''), run: coalesce(run, '')}
        WHEN type IN ('PhaseRequested', 'PhaseCompleted', 'PhaseFailed', 'AssignmentLost', 'ReviewEnded',
            'PersonAsked', 'TaskReset', 'TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN {agent: '', run: ''}
    END, spot) AS held,
    arg_max(CASE
        WHEN type IN ('PipelineStarted', 'PipelineResumed', 'PhaseCompleted', 'TaskCompleted', 'CouncilAnswered') THEN ''
        WHEN type = 'CouncilAsked' THEN 'waits for the council ' || coalesce(piece(body, '$.council'), '') || ': ' || reason
        WHEN type IN ('PipelinePaused', 'PhaseFailed', 'AssignmentLost', 'TaskReset', 'TaskFailed', 'TaskCancelled')
            THEN reason
        WHEN type = 'PersonAsked' THEN piece(body, '$.question')
        WHEN type = 'PhaseReopened' THEN piece(body, '$.because')
    END, spot) AS reason,
    arg_max({type: type, phase: phase}, spot) FILTER (type IN ('PhaseCompleted', 'PhaseReopened')) AS turned,
    list({phase: phase, said: CASE type
        WHEN 'PhaseRequested' THEN 'requested'
        WHEN 'PhaseAssigned' THEN 'running'
        WHEN 'AssignmentLost' THEN 'lost'
        WHEN 'PhaseCompleted' THEN 'completed'
        WHEN 'PhaseFailed' THEN 'failed'
        ELSE 'waiting'
    END} ORDER BY spot) FILTER (type IN ('PhaseRequested', 'PhaseAssigned', 'AssignmentLost', 'PhaseCompleted',
        'PhaseFailed', 'PhaseReopened')) AS marks,
    arg_max(type, spot) FILTER (kind = 'slots') AS slot,
    arg_max(priority, spot) FILTER (type = 'PipelineQueued') AS queue_priority,
    max(spot) FILTER (type = 'PipelineQueued') AS queued,
    max(CASE type WHEN 'ExecStarted' THEN piece(body, '$.level') END) AS sandbox,
    sum(CASE type
        WHEN 'TaskSubmitted' THEN len(texts(body, '$.checklist'))
        WHEN 'ChecklistExtended' THEN len(texts(body, '$.items'))
    END)::BIGINT AS items,
    list(CASE type WHEN 'ChecklistItemDone' THEN TRY_CAST(piece(body, '$.item') AS BIGINT) END)
        FILTER (type = 'ChecklistItemDone') AS ticked,
    arg_min(happened, spot) FILTER (type = 'PipelineStarted') AS began,
    arg_max(happened, spot) FILTER (type = 'ChecklistItemDone') AS last_tick,
    min(happened) FILTER (kind = 'task') AS created,
    max(happened) FILTER (kind = 'task') AS updated,
    arg_max(CASE
        WHEN type IN ('TaskCompleted', 'TaskFailed', 'TaskCancelled') THEN happened
        WHEN type = 'TaskReset' THEN '-infinity'::TIMESTAMP
    END, spot) AS ended,
    min(seq) FILTER (kind = 'task') AS first_seq,
    max(seq) FILTER (kind = 'task') AS last_seq
FROM tail
WHERE (kind = 'task' AND type <> 'Unreadable')
    OR (kind = 'slots' AND task IS NOT NULL
        AND type IN ('PipelineQueued', 'PipelineAdmitted', 'PipelineReleased', 'PipelineWithdrawn'))
    OR (kind = 'step' AND flow <> '' AND type IN ('ChecklistExtended', 'ChecklistItemDone'))
    OR (kind = 'exec' AND flow <> '' AND type = 'ExecStarted')
GROUP BY ALL;

-- Both together; `fresh` are those that the tail speaks of.
CREATE VIEW board_joined AS
SELECT
    coalesce(new.id, old.id) AS id,
    new.id IS NOT NULL AS fresh,
    coalesce(new.text, old.text) AS text,
    coalesce(new.workflow, old.workflow) AS workflow,
    coalesce(new.phases, old.phases) AS phases,
    coalesce(new.priority, old.priority) AS priority,
    CASE WHEN new.was_reset AND coalesce(new.status, old.status) IN ('failed', 'waiting') THEN 'pending'
        ELSE coalesce(new.status, old.status) END AS status,
    coalesce(new.phase, old.phase) AS phase,
    coalesce(new.attempt, old.attempt) AS attempt,
    coalesce(new.held.agent, old.agent) AS agent,
    coalesce(new.held.run, old.run) AS run,
    coalesce(new.reason, old.reason) AS reason,
    CASE WHEN new.turned IS NULL THEN coalesce(old.done, 0)
        ELSE greatest(0, coalesce(list_position(coalesce(new.phases, old.phases), new.turned.phase), 0)
            - (new.turned.type = 'PhaseReopened')::INTEGER) END AS done,
    list_concat(old.marks, new.marks) AS marks,
    coalesce(new.slot, old.slot) AS slot,
    coalesce(new.queue_priority, old.queue_priority) AS queue_priority,
    coalesce(new.queued, old.queued) AS queued,
    greatest(old.sandbox, new.sandbox) AS sandbox,
    coalesce(old.items, 0) + coalesce(new.items, 0) AS items,
    list_sort(list_distinct(list_concat(old.ticked, new.ticked))) AS ticked,
    coalesce(old.began, new.began) AS began,
    coalesce(new.last_tick, old.last_tick) AS last_tick,
    least(old.created, new.created) AS created,
    greatest(old.updated, new.updated) AS updated,
    coalesce(new.ended, old.ended) AS ended,
    coalesce(old.first_seq, new.first_seq) AS first_seq,
    coalesce(new.last_seq, old.last_seq) AS last_seq
FROM board_kept AS old
FULL JOIN changed AS new ON new.id = old.id;

-- What the fold writes down.
CREATE VIEW board_fresh AS
SELECT * EXCLUDE (fresh) FROM board_joined WHERE fresh;

-- The board as it is now, those included that were not submitted yet.
CREATE VIEW board_rows AS
SELECT * EXCLUDE (fresh) FROM board_joined;

CREATE VIEW board_now AS
SELECT * EXCLUDE (fresh) FROM board_joined WHERE first_seq IS NOT NULL;

-- What holds for all tasks.
CREATE VIEW house_fresh AS
SELECT coalesce(new.slots, old.slots) AS slots, coalesce(new.frozen, old.frozen) AS frozen
FROM house_kept AS old, (
    SELECT
        arg_max(slots, spot) FILTER (type = 'SlotsResized') AS slots,
        arg_max(type, spot) FILTER (type IN ('WorkFrozen', 'WorkThawed')) = 'WorkFrozen' AS frozen
    FROM tail
    WHERE kind = 'slots'
) AS new;

CREATE VIEW house_now AS
SELECT coalesce(slots, 2) AS slots, coalesce(frozen, false) AS frozen FROM house_fresh;

-- tasks: every task, where it stands and how far it is, and the weakest sandbox that it ran in; the newest first.
-- filters: id, status, phase, agent, workflow, priority
CREATE VIEW tasks AS
SELECT
    id, text, status, phase, attempt,
    nullif(agent, '') AS agent,
    nullif(run, '') AS run,
    workflow, priority, done,
    len(phases) AS total,
    done || '/' || len(phases) AS progress,
    ticks || '/' || items AS checklist,
    round(epoch(last_tick - began) / nullif(ticks, 0), 3) AS item_seconds,
    sandbox, created, updated,
    CASE WHEN isfinite(ended) THEN ended END AS ended,
    round(epoch(coalesce(CASE WHEN isfinite(ended) THEN ended END, updated) - created), 3) AS seconds,
    nullif(reason, '') AS reason,
    first_seq, last_seq
FROM (
    SELECT *,
        CASE WHEN items > 0 THEN len(list_filter(coalesce(ticked, []), lambda item: item BETWEEN 1 AND items)) END
            AS ticks
    FROM board_now
);

-- ask
SELECT * FROM tasks
WHERE ($id IS NULL OR id = $id)
    AND ($status IS NULL OR status = $status)
    AND ($phase IS NULL OR phase = $phase)
    AND ($agent IS NULL OR agent = $agent)
    AND ($workflow IS NULL OR workflow = $workflow)
    AND ($priority IS NULL OR priority = $priority)
ORDER BY first_seq DESC
LIMIT $limit OFFSET $offset;

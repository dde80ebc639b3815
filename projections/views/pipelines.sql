-- pipelines: the tasks that are not over: phase by phase, with the slots in use and the place in the queue.
-- filters: id, status, phase, agent
CREATE VIEW pipelines AS
WITH admitted AS (
    SELECT *,
        count(*) FILTER (slot = 'PipelineAdmitted') OVER () AS slots_used,
        CASE slot WHEN 'PipelineQueued'
            THEN row_number() OVER (PARTITION BY slot ORDER BY queue_priority DESC, queued) END AS queue_place
    FROM board_rows
    WHERE slot IN ('PipelineQueued', 'PipelineAdmitted') OR status IN ('pending', 'running', 'paused', 'waiting')
)
SELECT
    id, status, phase,
    done || '/' || len(phases) AS progress,
    list_aggregate(list_transform(phases, lambda wanted, i: wanted || ':' || coalesce(list_filter(marks, lambda mark:
        CASE mark.said WHEN 'waiting' THEN list_position(phases, mark.phase) BETWEEN 1 AND i
            ELSE mark.phase = wanted END
    )[-1].said, 'waiting')), 'string_agg', ' ') AS steps,
    nullif(agent, '') AS agent,
    attempt, priority, queue_place, slots_used, slots, frozen, text, created, updated,
    nullif(reason, '') AS reason,
    first_seq
FROM admitted, house_now
WHERE status IN ('pending', 'running', 'paused', 'waiting') AND first_seq IS NOT NULL;

-- ask
SELECT * EXCLUDE (first_seq) FROM pipelines
WHERE ($id IS NULL OR id = $id)
    AND ($status IS NULL OR status = $status)
    AND ($phase IS NULL OR phase = $phase)
    AND ($agent IS NULL OR agent = $agent)
ORDER BY queue_place NULLS FIRST, first_seq
LIMIT $limit OFFSET $offset;

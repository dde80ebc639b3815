-- guardian: every order, whether it was carried out, and who has not answered it.
-- filters: order_id, what, pipeline, state
CREATE VIEW guardian AS
WITH orders AS (
    SELECT
        coalesce(piece(body, '$.order'), id) AS order_id, seq, happened, coalesce(piece(body, '$.pipeline'), task) AS pipeline,
        reason, texts(body, '$.actors') AS actors,
        CASE type
            WHEN 'PauseOrdered' THEN 'pause'
            WHEN 'ResumeOrdered' THEN 'resume'
            WHEN 'OverrideOrdered' THEN 'override'
            WHEN 'FreezeOrdered' THEN 'freeze'
            WHEN 'ThawOrdered' THEN 'thaw'
            WHEN 'MergeApproved' THEN 'apply'
            WHEN 'DiscardOrdered' THEN 'discard'
        END AS what,
        CASE type WHEN 'OverrideOrdered' THEN json_extract(body, '$.override')::VARCHAR END AS override
    FROM events
    WHERE kind = 'guardian'
        AND type IN ('PauseOrdered', 'ResumeOrdered', 'OverrideOrdered', 'FreezeOrdered', 'ThawOrdered',
            'MergeApproved', 'DiscardOrdered')
),
applied AS (
    SELECT piece(body, '$.order') AS order_id, min(happened) AS happened, bool_or(type = 'MergeRefused') AS refused
    FROM events
    WHERE kind IN ('task', 'slots', 'workspace')
        AND type IN ('PipelinePaused', 'PipelineResumed', 'OverrideApplied', 'WorkFrozen', 'WorkThawed',
            'WorkspaceMerged', 'MergeRefused', 'WorkspaceDiscarded')
    GROUP BY ALL
),
answers AS (
    SELECT
        piece(body, '$.order') AS order_id,
        list_sort(list_distinct(list(piece(body, '$.actor')) FILTER (type = 'FreezeAcknowledged'))) AS acknowledged,
        count(*) FILTER (type = 'FreezeUnanswered') > 0 AS overdue
    FROM events
    WHERE kind = 'guardian' AND type IN ('FreezeAcknowledged', 'FreezeUnanswered')
    GROUP BY ALL
),
weighed AS (
    SELECT
        orders.*,
        applied.happened AS applied, coalesce(applied.refused, false) AS refused,
        coalesce(answers.acknowledged, []) AS acknowledged,
        coalesce(list_sort(list_filter(orders.actors,
            lambda one: NOT list_contains(coalesce(answers.acknowledged, []), one))), []) AS missing,
        coalesce(answers.overdue, false) AS overdue
    FROM orders
    LEFT JOIN applied ON applied.order_id = orders.order_id
    LEFT JOIN answers ON answers.order_id = orders.order_id
)
SELECT
    order_id, what, pipeline,
    CASE
        WHEN applied IS NULL THEN 'waiting'
        WHEN refused THEN 'refused'
        WHEN len(missing) = 0 THEN 'applied'
        WHEN overdue THEN 'unanswered'
        ELSE 'unacknowledged'
    END AS state,
    nullif(reason, '') AS reason, override, happened AS ordered, applied, acknowledged, missing, seq
FROM weighed;

-- ask
SELECT * FROM guardian
WHERE ($order_id IS NULL OR order_id = $order_id)
    AND ($what IS NULL OR what = $what)
    AND ($pipeline IS NULL OR pipeline = $pipeline)
    AND ($state IS NULL OR state = $state)
ORDER BY seq DESC
LIMIT $limit OFFSET $offset;

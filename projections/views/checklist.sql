-- checklist: the items of every task's checklist; `seconds` is the time since the item that was ticked off before it.
-- filters: task, item, done_by
CREATE VIEW checklist AS
WITH lists AS (
    SELECT task, place(seq, n) AS spot, texts(body, '$.checklist') AS items
    FROM events
    WHERE kind = 'task' AND type = 'TaskSubmitted'
    UNION ALL
    SELECT flow, place(seq, n), texts(body, '$.items')
    FROM events
    WHERE kind = 'step' AND type = 'ChecklistExtended'
),
items AS (
    SELECT task, spot, unnest(items) AS text, generate_subscripts(items, 1) AS i FROM lists
),
numbered AS (
    SELECT task, text, row_number() OVER (PARTITION BY task ORDER BY spot, i) AS item FROM items
),
ticks AS (
    SELECT flow AS task, TRY_CAST(piece(body, '$.item') AS BIGINT) AS item,
        min(place(seq, n)) AS spot, arg_min(owner, place(seq, n)) AS done_by, arg_min(happened, place(seq, n)) AS done_at
    FROM events
    WHERE kind = 'step' AND type = 'ChecklistItemDone'
    GROUP BY 1, 2
),
begun AS (
    SELECT task, arg_min(happened, place(seq, n)) AS begun
    FROM events
    WHERE kind = 'task' AND type = 'PipelineStarted'
    GROUP BY task
)
SELECT
    numbered.task, numbered.item, numbered.text, ticks.spot IS NOT NULL AS done, ticks.done_by, ticks.done_at,
    round(epoch(ticks.done_at - coalesce(
        lag(ticks.done_at) OVER (PARTITION BY numbered.task ORDER BY ticks.spot NULLS LAST), begun.begun)), 3) AS seconds
FROM numbered
LEFT JOIN ticks ON ticks.task = numbered.task AND ticks.item = numbered.item
LEFT JOIN begun ON begun.task = numbered.task;

-- ask
SELECT * FROM checklist
WHERE ($task IS NULL OR task = $task)
    AND ($item IS NULL OR item = $item)
    AND ($done_by IS NULL OR done_by = $done_by)
ORDER BY task, item
LIMIT $limit OFFSET $offset;

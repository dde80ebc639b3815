-- steps: every call of every run: the thought before it, what was asked for, what came of it; `ok` is empty while it goes on.
-- filters: task, run, agent, phase, tool, failure, call, turn
CREATE VIEW steps AS
SELECT
    step.task, step.run, step.agent, run.phase,
    TRY_CAST(split_part(step.call, '-', 1) AS INTEGER) AS turn, step.call, step.tool, step.ms, step.ok, step.failure,
    coalesce(step.note.loop, false) AS loop, step.started, step.ended, step.outcome.exit, step.outcome.ended_by, step.again,
    step.aside AS background, coalesce(step.outcome.how = 'StepRefused', false) AS refused, step.begun, step.asked, step.told
FROM step_now AS step
LEFT JOIN run_now AS run ON run.run = step.run AND run.task = step.task;

-- ask: the texts are looked up for the rows that are shown and for no others.
WITH page AS MATERIALIZED (
    SELECT * FROM steps
    WHERE ($task IS NULL OR task = $task)
        AND ($run IS NULL OR run = $run)
        AND ($agent IS NULL OR agent = $agent)
        AND ($phase IS NULL OR phase = $phase)
        AND ($tool IS NULL OR tool = $tool)
        AND ($failure IS NULL OR failure = $failure)
        AND ($call IS NULL OR call = $call)
        AND ($turn IS NULL OR turn = $turn)
    ORDER BY begun, run, call
    LIMIT $limit OFFSET $offset
),
replies AS (
    SELECT id AS run, turn, arg_max(body, place(seq, n)) AS body
    FROM events
    WHERE kind = 'call' AND type = 'ModelReplied' AND id IN (SELECT run FROM page)
        AND seq <= (SELECT max(asked) // 65536 FROM page)
    GROUP BY id, turn
)
SELECT
    page.* EXCLUDE (begun, asked, told),
    piece(replies.body, '$.text') AS thought,
    piece(asked.body, '$.input') AS input,
    CASE WHEN page.refused THEN asked.reason ELSE coalesce(piece(told.body, '$.output.text'), told.reason) END
        AS observation,
    TRY_CAST(piece(told.body, '$.output.bytes') AS BIGINT) AS bytes,
    nullif(piece(told.body, '$.output.sha256'), '') AS sha256
FROM page
LEFT JOIN events AS asked ON asked.seq = page.asked // 65536 AND asked.n = page.asked % 65536
LEFT JOIN events AS told ON told.seq = page.told // 65536 AND told.n = page.told % 65536
LEFT JOIN replies ON replies.run = page.run AND replies.turn = page.turn
ORDER BY page.begun, page.run, page.call;

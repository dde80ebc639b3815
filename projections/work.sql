-- The steps and the runs, merged as the board is, and the trouble they had.

-- What the tail says about each call that occurs in it.
CREATE VIEW step_changed AS
SELECT
    id AS run, call,
    arg_min(nullif(flow, ''), spot) AS task,
    arg_min(owner, spot) AS agent,
    arg_min(tool, spot) AS tool,
    arg_max(CASE
        WHEN type = 'ToolRequested' AND tool IN ('run', 'test') THEN nullif(piece(body, '$.input.command'), '')
        WHEN type = 'ExecEnded' THEN nullif(piece(body, '$.command'), '')
    END, spot) AS command,
    max(again) AS again,
    min(spot) FILTER (type IN ('ToolRequested', 'StepRefused')) AS begun,
    max(spot) FILTER (type IN ('ToolRequested', 'StepRefused')) AS asked,
    max(spot) FILTER (type IN ('StepRefused', 'ExecEnded', 'ExecLost', 'ToolEnded')) AS told,
    max(spot) FILTER (type = 'StepEnded') AS noted,
    min(happened) FILTER (type IN ('ToolRequested', 'StepRefused')) AS started,
    max(type = 'ExecStarted') AS ran,
    max(type = 'ExecBackgrounded') AS aside,
    arg_max(CASE WHEN type IN ('StepRefused', 'ExecEnded', 'ExecLost', 'ToolEnded') THEN {
        how: type, happened: happened, ok: ok, ms: ms, failure: nullif(failure, ''),
        exit: TRY_CAST(piece(body, '$.exit') AS INTEGER), ended_by: piece(body, '$.ended_by'),
        tests: piece(body, '$.tests'), tree: piece(body, '$.tree'),
        read: texts(body, '$.read'), created: texts(body, '$.created'), wrote: texts(body, '$.wrote')
    } END, spot) AS outcome,
    arg_max(CASE WHEN type = 'StepEnded' THEN {
        happened: happened, ok: ok, failure: nullif(failure, ''), loop: coalesce(piece(body, '$.loop') = 'true', false)
    } END, spot) AS note
FROM tail
WHERE call IS NOT NULL
    AND ((kind = 'step' AND type IN ('ToolRequested', 'StepRefused', 'StepEnded'))
        OR (kind = 'exec' AND type IN ('ExecStarted', 'ExecBackgrounded', 'ExecEnded', 'ExecLost', 'ToolEnded')))
GROUP BY id, call;

-- What the tail says about each run that occurs in it.
CREATE VIEW run_changed AS
SELECT
    id AS run,
    arg_min(nullif(flow, ''), spot) AS task,
    arg_min(owner, spot) AS agent,
    arg_min(phase, spot) AS phase,
    arg_min(role, spot) AS role,
    arg_min(mind, spot) AS mind,
    arg_min(attempt, spot) AS attempt,
    arg_min(CASE type WHEN 'RunStarted' THEN nullif(piece(body, '$.recovery'), '') END, spot) AS recovery,
    max(turn) AS turns,
    arg_min(CASE type WHEN 'RunStarted' THEN happened END, spot) AS started,
    arg_min(CASE WHEN type IN ('RunFinished', 'RunFailed', 'RunStopped') THEN happened END, spot) AS ended,
    arg_min(CASE WHEN type IN ('RunFinished', 'RunFailed', 'RunStopped') THEN type END, spot) AS said,
    arg_min(reason, spot) AS reason,
    arg_min(failure, spot) AS failure,
    arg_min(CASE type WHEN 'RunFinished' THEN nullif(piece(body, '$.tree'), '') END, spot) AS tree,
    arg_min(CASE type WHEN 'RunFinished' THEN nullif(piece(body, '$.summary'), '') END, spot) AS summary,
    arg_min(CASE type WHEN 'RunFinished' THEN len(artifacts) END, spot) AS artifacts,
    min(spot) AS first_place
FROM tail
WHERE kind IN ('run', 'step')
    AND type IN ('RunStarted', 'ModelRequested', 'RunFinished', 'RunFailed', 'RunStopped')
GROUP BY id;

-- What becomes of the rows that the tail speaks of. The fold writes exactly this down.
CREATE VIEW step_merged AS
SELECT
    coalesce(old.task, new.task) AS task, new.run,
    coalesce(old.agent, new.agent) AS agent, new.call,
    coalesce(old.tool, new.tool) AS tool,
    coalesce(new.command, old.command) AS command,
    greatest(old.again, new.again) AS again,
    least(old.begun, new.begun) AS begun,
    greatest(old.asked, new.asked) AS asked,
    greatest(old.told, new.told) AS told,
    greatest(old.noted, new.noted) AS noted,
    least(old.started, new.started) AS started,
    coalesce(old.ran, false) OR new.ran AS ran,
    coalesce(old.aside, false) OR new.aside AS aside,
    coalesce(new.outcome, old.outcome) AS outcome,
    coalesce(new.note, old.note) AS note
FROM step_changed AS new
LEFT JOIN step_kept AS old ON new.run = old.run AND new.call = old.call;

-- A call that was asked for again is open until that is told; and the agent has the last word on how it came out.
CREATE VIEW step_fresh AS
SELECT *,
    CASE WHEN told >= asked OR noted > asked THEN coalesce(note.ok, CASE outcome.how
        WHEN 'ToolEnded' THEN outcome.ok
        WHEN 'ExecEnded' THEN coalesce(outcome.exit = 0, false)
        ELSE false
    END) END AS ok,
    CASE WHEN told >= asked OR noted > asked THEN coalesce(outcome.happened, note.happened) END AS ended,
    CASE outcome.how WHEN 'StepRefused' THEN 'refused' ELSE coalesce(note.failure, outcome.failure) END AS failure,
    outcome.ms AS ms
FROM step_merged;

CREATE VIEW run_fresh AS
SELECT
    coalesce(old.task, new.task) AS task, new.run,
    coalesce(old.agent, new.agent) AS agent,
    coalesce(old.phase, new.phase) AS phase,
    coalesce(old.role, new.role) AS role,
    coalesce(old.mind, new.mind) AS mind,
    coalesce(old.attempt, new.attempt) AS attempt,
    coalesce(old.recovery, new.recovery) AS recovery,
    greatest(old.turns, new.turns) AS turns,
    coalesce(old.started, new.started) AS started,
    coalesce(old.ended, new.ended) AS ended,
    coalesce(old.said, new.said) AS said,
    coalesce(old.reason, new.reason) AS reason,
    coalesce(old.failure, new.failure) AS failure,
    coalesce(old.tree, new.tree) AS tree,
    coalesce(old.summary, new.summary) AS summary,
    coalesce(old.artifacts, new.artifacts) AS artifacts,
    least(old.first_place, new.first_place) AS first_place
FROM run_changed AS new
LEFT JOIN run_kept AS old ON new.run = old.run;

-- The steps and the runs as they are now. What nobody spoke of since is passed on as it is: that is most of it.
CREATE VIEW step_now AS
SELECT * FROM step_kept AS old
ANTI JOIN step_changed AS new ON new.run = old.run AND new.call = old.call
UNION ALL BY NAME
SELECT * FROM step_fresh;

CREATE VIEW run_now AS
SELECT * FROM run_kept AS old
ANTI JOIN run_changed AS new ON new.run = old.run
UNION ALL BY NAME
SELECT * FROM run_fresh;

CREATE VIEW trouble_fresh AS
SELECT
    spot, happened,
    CASE kind WHEN 'run' THEN 'run' WHEN 'call' THEN 'reply' WHEN 'step' THEN 'step' ELSE 'phase' END AS level,
    type,
    CASE kind WHEN 'task' THEN id ELSE nullif(flow, '') END AS task,
    CASE WHEN kind <> 'task' THEN id END AS run,
    phase, call, failure,
    CASE WHEN type IN ('RecoveryStarted', 'StepRecoveryStarted') THEN piece(body, '$.strategy') END AS strategy,
    ok, body
FROM tail
WHERE (kind = 'run' AND type = 'RunFailed')
    OR (kind = 'call' AND type = 'ModelFailed')
    OR (kind = 'step' AND type IN ('StepRecoveryStarted', 'StepRecoveryEnded'))
    OR (kind = 'task' AND type IN ('RecoveryStarted', 'RecoveryEnded'));

CREATE VIEW trouble_now AS
SELECT * FROM trouble_kept
UNION ALL BY NAME
SELECT * FROM trouble_fresh;

-- runs: every attempt at a phase: what was tried in it, what succeeded, which files and commands, and how it ended.
-- filters: task, run, agent, phase, role, outcome, failure
CREATE VIEW runs AS
SELECT
    task, run, phase, role, agent, attempt,
    coalesce(turns, 0) AS turns,
    CASE said WHEN 'RunFinished' THEN 'finished' WHEN 'RunFailed' THEN 'failed' WHEN 'RunStopped' THEN 'stopped'
        ELSE 'running' END AS outcome,
    reason, failure, recovery, summary,
    coalesce(artifacts, 0) AS artifacts,
    round(epoch(ended - started), 3) AS seconds,
    started, ended, tree, first_place
FROM run_now;

-- ask: the lists are made for the runs that are shown and for no others.
WITH page AS MATERIALIZED (
    SELECT * FROM runs
    WHERE ($task IS NULL OR task = $task)
        AND ($run IS NULL OR run = $run)
        AND ($agent IS NULL OR agent = $agent)
        AND ($phase IS NULL OR phase = $phase)
        AND ($role IS NULL OR role = $role)
        AND ($outcome IS NULL OR outcome = $outcome)
        AND ($failure IS NULL OR failure = $failure)
    ORDER BY first_place, run
    LIMIT $limit OFFSET $offset
),
told AS (
    SELECT
        run,
        count(*) AS steps,
        count(*) FILTER (NOT ok) AS failed_steps,
        flatten(list(outcome.created ORDER BY told) FILTER (outcome.created IS NOT NULL)) AS created,
        flatten(list(outcome.read ORDER BY told) FILTER (outcome.read IS NOT NULL)) AS read,
        flatten(list(outcome.wrote ORDER BY told) FILTER (outcome.wrote IS NOT NULL)) AS wrote,
        list(coalesce(command, 'the project''s tests') ORDER BY begun) FILTER (ran) AS commands,
        list(tool ORDER BY begun) AS attempted,
        list(tool ORDER BY begun) FILTER (ok) AS succeeded,
        arg_max(outcome.tests, told) AS tests,
        arg_max(nullif(outcome.tree, ''), told) AS tree
    FROM step_now
    WHERE run IN (SELECT run FROM page)
    GROUP BY run
)
SELECT
    page.* EXCLUDE (first_place, tree),
    coalesce(page.tree, told.tree) AS tree,
    coalesce(told.steps, 0) AS steps,
    coalesce(told.failed_steps, 0) AS failed_steps,
    coalesce(list_filter(told.created, lambda path, i: list_position(told.created, path) = i), []) AS files_created,
    coalesce(list_filter(told.read, lambda path, i: list_position(told.read, path) = i), []) AS files_read,
    coalesce(list_filter(told.wrote, lambda path, i: list_position(told.wrote, path) = i), []) AS files_written,
    coalesce(told.commands, []) AS commands_executed,
    coalesce(told.attempted, []) AS what_was_attempted,
    coalesce(told.succeeded, []) AS what_succeeded,
    told.tests AS test_results
FROM page
LEFT JOIN told ON told.run = page.run
ORDER BY page.first_place, page.run;

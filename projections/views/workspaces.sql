-- workspaces: the branch and the working tree of every task, what was last saved, tested and deployed of it, and its end.
-- filters: task, repo, branch, status
CREATE VIEW workspaces AS
WITH told AS (
    SELECT id AS task, type, happened, reason, body, place(seq, n) AS spot,
        bool_or(type IN ('WorkspaceMerged', 'WorkspaceDiscarded')) OVER (PARTITION BY id) AS over
    FROM events
    WHERE kind = 'workspace'
),
used AS (
    SELECT task, piece(body, '$.environment') AS environment,
        arg_max(CASE type WHEN 'TreeDeployed' THEN piece(body, '$.tree') ELSE coalesce(piece(body, '$.to'), '') END, spot)
            AS tree
    FROM told
    WHERE type IN ('TreeDeployed', 'DeployRolledBack')
    GROUP BY 1, 2
),
places AS (
    SELECT task, list({environment: environment, tree: tree} ORDER BY environment) AS deployed
    FROM used
    WHERE tree <> ''
    GROUP BY task
)
SELECT
    told.task,
    CASE arg_max(told.type, told.spot) FILTER (type IN ('WorkspaceOpened', 'WorkspaceMerged', 'WorkspaceDiscarded'))
        WHEN 'WorkspaceMerged' THEN 'merged' WHEN 'WorkspaceDiscarded' THEN 'discarded' ELSE 'open' END AS status,
    arg_max(piece(body, '$.repo'), spot) FILTER (type = 'WorkspaceOpened') AS repo,
    arg_max(piece(body, '$.branch'), spot) FILTER (type = 'WorkspaceOpened') AS branch,
    arg_max(piece(body, '$.base'), spot) FILTER (type = 'WorkspaceOpened') AS base,
    arg_max(piece(body, '$.target'), spot) FILTER (type = 'WorkspaceOpened') AS target,
    arg_max(piece(body, '$.path'), spot) FILTER (type = 'WorkspaceOpened') AS path,
    arg_max(piece(body, '$.tree'), spot) FILTER (type = 'TreeSaved') AS tree,
    arg_max(piece(body, '$.commit'), spot) FILTER (type = 'TreeSaved') AS "commit",
    arg_max(piece(body, '$.tree'), spot) FILTER (type = 'TreeTested') AS tested_tree,
    arg_max(CASE WHEN type = 'TreeTested' THEN coalesce(TRY_CAST(piece(body, '$.passed') AS INTEGER), 0) END, spot) AS passed,
    arg_max(CASE WHEN type = 'TreeTested' THEN coalesce(TRY_CAST(piece(body, '$.failed') AS INTEGER), 0)
        + coalesce(TRY_CAST(piece(body, '$.errors') AS INTEGER), 0) END, spot) AS failed,
    coalesce(arg_max(piece(body, '$.tree'), spot) FILTER (type = 'TreeTested')
        = arg_max(piece(body, '$.tree'), spot) FILTER (type = 'TreeSaved'), false) AS tested_last,
    coalesce(any_value(places.deployed), []) AS deployed,
    arg_max(piece(body, '$.commit'), spot) FILTER (type = 'WorkspaceMerged') AS merged_commit,
    nullif(arg_max(CASE type WHEN 'MergeRefused' THEN reason ELSE '' END, spot)
        FILTER (type IN ('MergeRefused', 'WorkspaceMerged', 'WorkspaceDiscarded') AND NOT over), '') AS refusal,
    arg_min(happened, spot) AS opened,
    arg_max(happened, spot) AS updated,
    min(spot) AS first_place
FROM told
LEFT JOIN places ON places.task = told.task
GROUP BY told.task;

-- ask
SELECT * EXCLUDE (first_place) FROM workspaces
WHERE ($task IS NULL OR task = $task)
    AND ($repo IS NULL OR repo = $repo)
    AND ($branch IS NULL OR branch = $branch)
    AND ($status IS NULL OR status = $status)
ORDER BY first_place DESC
LIMIT $limit OFFSET $offset;

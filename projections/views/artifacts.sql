-- artifacts: what the runs produced and where it comes from; the content is in `contents` or in the blob store.
-- filters: task, phase, name, type, agent, run, sha256, playbook, tree
CREATE VIEW artifacts AS
WITH made AS (
    SELECT seq, n, happened, flow AS task, owner AS agent, id AS run, cause, commit_id,
        unnest(artifacts) AS artifact, generate_subscripts(artifacts, 1) AS i
    FROM events
    WHERE kind = 'run' AND type = 'RunFinished'
),
followed AS (
    SELECT id AS run, arg_max(piece(body, '$.playbook'), place(seq, n)) AS playbook
    FROM events
    WHERE kind = 'step' AND type = 'PlaybookSucceeded'
    GROUP BY id
)
SELECT
    made.task, run_now.phase, made.artifact.name AS name, made.artifact.type AS type, made.artifact.sha256 AS sha256,
    made.artifact.bytes AS bytes, made.agent, made.run, followed.playbook, run_now.tree, made.cause,
    made.commit_id AS "commit", made.happened, made.seq, made.n, made.i
FROM made
LEFT JOIN run_now ON run_now.task = made.task AND run_now.run = made.run
LEFT JOIN followed ON followed.run = made.run;

-- ask
SELECT * EXCLUDE (n, i) FROM artifacts
WHERE ($task IS NULL OR task = $task)
    AND ($phase IS NULL OR phase = $phase)
    AND ($name IS NULL OR name = $name)
    AND ($type IS NULL OR type = $type)
    AND ($agent IS NULL OR agent = $agent)
    AND ($run IS NULL OR run = $run)
    AND ($sha256 IS NULL OR sha256 = $sha256)
    AND ($playbook IS NULL OR playbook = $playbook)
    AND ($tree IS NULL OR tree = $tree)
ORDER BY seq, n, i
LIMIT $limit OFFSET $offset;

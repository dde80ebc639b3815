-- contents: the text of the artifacts that the log itself holds; the others are in the blob store under their sha256.
-- filters: task, run, name, sha256
CREATE VIEW contents AS
WITH told AS (
    SELECT flow AS task, id AS run, seq, n, unnest(TRY(json_extract(body, '$.artifacts[*]'))) AS artifact
    FROM events
    WHERE kind = 'run' AND type = 'RunFinished'
)
SELECT task, run, artifact ->> '$.name' AS name, artifact ->> '$.sha256' AS sha256,
    artifact ->> '$.content' AS content, seq, n
FROM told
WHERE artifact ->> '$.content' IS NOT NULL;

-- ask
SELECT * EXCLUDE (n) FROM contents
WHERE ($task IS NULL OR task = $task)
    AND ($run IS NULL OR run = $run)
    AND ($name IS NULL OR name = $name)
    AND ($sha256 IS NULL OR sha256 = $sha256)
ORDER BY seq, n, name
LIMIT $limit OFFSET $offset;

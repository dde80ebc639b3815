-- counts: how many tasks there are of each status.
-- filters: status, workflow
CREATE VIEW counts AS
SELECT status, workflow, count(*) AS tasks, max(updated) AS updated
FROM board_now
GROUP BY status, workflow;

-- ask
SELECT * FROM counts
WHERE ($status IS NULL OR status = $status) AND ($workflow IS NULL OR workflow = $workflow)
ORDER BY status, workflow
LIMIT $limit OFFSET $offset;

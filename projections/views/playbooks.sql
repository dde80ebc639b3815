-- playbooks: every playbook that there is or was, its newest version, and how it served those who followed it.
-- filters: name, version, status
CREATE VIEW playbooks AS
WITH texts AS (
    SELECT id AS name,
        arg_max(type, place(seq, n)) AS last_type,
        arg_max(CASE type WHEN 'PlaybookRevised' THEN piece(body, '$.version') END, place(seq, n)) AS version,
        arg_max(CASE type WHEN 'PlaybookRevised' THEN piece(body, '$.description') END, place(seq, n)) AS description,
        arg_max(CASE type WHEN 'PlaybookRevised' THEN piece(body, '$.origin') END, place(seq, n)) AS origin,
        arg_max(CASE type WHEN 'PlaybookRevised' THEN happened END, place(seq, n)) AS revised,
        count(*) FILTER (type = 'PlaybookRevised') AS versions
    FROM events
    WHERE kind = 'playbook' AND type IN ('PlaybookRevised', 'PlaybookWithdrawn')
    GROUP BY id
),
used AS (
    SELECT
        piece(body, '$.playbook') AS name,
        count(*) FILTER (type = 'PlaybookOpened') AS uses,
        count(*) FILTER (type = 'PlaybookSucceeded') AS successes,
        count(*) FILTER (type = 'PlaybookFailed') AS failures,
        round(avg(TRY_CAST(piece(body, '$.seconds') AS DECIMAL(18, 3))), 3) AS mean_seconds,
        arg_max(happened, place(seq, n)) AS last_used
    FROM events
    WHERE kind = 'step' AND type IN ('PlaybookOpened', 'PlaybookSucceeded', 'PlaybookFailed')
    GROUP BY 1
)
SELECT
    coalesce(texts.name, used.name) AS name,
    CASE last_type WHEN 'PlaybookRevised' THEN 'present' WHEN 'PlaybookWithdrawn' THEN 'withdrawn' ELSE 'unknown' END
        AS status,
    version, description, origin, coalesce(versions, 0) AS versions, revised,
    coalesce(uses, 0) AS uses,
    coalesce(successes, 0) AS successes,
    coalesce(failures, 0) AS failures,
    mean_seconds, last_used
FROM texts
FULL JOIN used ON used.name = texts.name;

-- ask
SELECT * FROM playbooks
WHERE ($name IS NULL OR name = $name)
    AND ($version IS NULL OR version = $version)
    AND ($status IS NULL OR status = $status)
ORDER BY name
LIMIT $limit OFFSET $offset;

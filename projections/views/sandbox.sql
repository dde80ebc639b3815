-- sandbox: what holds commands in, as it was last attested: level A namespaces, B Landlock and seccomp, C nothing.
-- filters: id, level
CREATE VIEW sandbox AS
WITH attested AS (
    SELECT id,
        arg_max(body, place(seq, n)) AS body,
        max(happened) AS attested,
        count(*) AS times
    FROM events
    WHERE kind = 'sandbox' AND type = 'SandboxAttested'
    GROUP BY id
)
SELECT
    id, piece(body, '$.level') AS level, piece(body, '$.about') AS about,
    coalesce(texts(body, '$.passed'), []) AS passed,
    coalesce(texts(body, '$.failed'), []) AS failed,
    attested, times,
    (SELECT coalesce(sum(TRY_CAST(piece(events.body, '$.count') AS BIGINT)), 0)::BIGINT FROM events
        WHERE kind = 'sandbox' AND type = 'LeftoversKilled') AS leftovers_killed,
    (SELECT arg_max(reason, place(seq, n)) FROM events WHERE kind = 'guardian' AND type = 'SandboxWaived') AS waived
FROM attested;

-- ask
SELECT * FROM sandbox
WHERE ($id IS NULL OR id = $id) AND ($level IS NULL OR level = $level)
ORDER BY attested DESC, id
LIMIT $limit OFFSET $offset;

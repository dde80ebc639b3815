-- mix: how many calls went to local and how many to paid models, by role and in all, beside the goals: 80 % local, five calls of workers to one of the architect.
-- filters: role
CREATE VIEW mix AS
WITH counted AS (
    SELECT coalesce(role, 'unknown') AS role, side = 'paid' AS paid, coalesce(role = 'cto', false) AS architect
    FROM calls
    WHERE side IN ('local', 'paid')
),
told AS (
    SELECT role, count(*) AS calls, count(*) FILTER (paid) AS paid, NULL::BIGINT AS workers, NULL::BIGINT AS architect
    FROM counted
    GROUP BY role
    UNION ALL
    SELECT 'all', count(*), count(*) FILTER (paid), count(*) FILTER (NOT architect), count(*) FILTER (architect)
    FROM counted
    HAVING count(*) > 0
)
SELECT
    role, calls, calls - paid AS local, paid,
    round((calls - paid) / nullif(calls, 0), 4) AS local_share,
    round(paid / nullif(calls, 0), 4) AS paid_share,
    0.8::DOUBLE AS local_share_goal,
    workers, architect,
    round(workers / nullif(architect, 0), 2) AS workers_to_architect,
    CASE role WHEN 'all' THEN 5 END AS workers_to_architect_goal
FROM told;

-- ask
SELECT * FROM mix
WHERE $role IS NULL OR role = $role
ORDER BY role <> 'all', calls DESC, role
LIMIT $limit OFFSET $offset;

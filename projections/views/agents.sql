-- agents: who there is, what they are busy with, and how their runs ended.
-- filters: agent, role
CREATE VIEW agents AS
WITH roster AS (
    SELECT agent, arg_max(role, place(seq, n)) AS role,
        arg_max(coalesce(TRY_CAST(piece(body, '$.capacity') AS INTEGER), 1), place(seq, n)) AS capacity,
        max(happened) AS joined
    FROM events
    WHERE kind = 'agent' AND type = 'AgentJoined'
    GROUP BY agent
),
runs AS (
    SELECT
        CASE kind WHEN 'run' THEN owner WHEN 'agent' THEN id ELSE agent END AS agent,
        CASE kind WHEN 'run' THEN id ELSE run END AS run,
        arg_max(CASE type
            WHEN 'WorkAssigned' THEN 'busy'
            WHEN 'RunFinished' THEN 'finished'
            WHEN 'RunFailed' THEN 'failed'
            ELSE 'stopped'
        END, place(seq, n)) AS status,
        max(task || '/' || phase) FILTER (type = 'WorkAssigned') AS work,
        max(happened) FILTER (kind = 'run') AS last_seen
    FROM events
    WHERE (kind = 'agent' AND type IN ('WorkAssigned', 'WorkRevoked'))
        OR (kind = 'run' AND type IN ('RunFinished', 'RunFailed', 'RunStopped'))
        OR (kind = 'task' AND type = 'AssignmentLost')
    GROUP BY 1, 2
),
told AS (
    SELECT
        agent,
        list_sort(list(work) FILTER (status = 'busy')) AS busy_with,
        count(*) FILTER (status = 'busy') AS busy,
        count(*) FILTER (status = 'finished') AS finished,
        count(*) FILTER (status = 'failed') AS failed,
        count(*) FILTER (status = 'stopped') AS stopped,
        max(last_seen) AS last_seen
    FROM runs
    GROUP BY agent
)
SELECT
    coalesce(roster.agent, told.agent) AS agent,
    role, capacity,
    coalesce(busy, 0) AS busy,
    coalesce(busy_with, []) AS busy_with,
    coalesce(finished, 0) AS finished,
    coalesce(failed, 0) AS failed,
    coalesce(stopped, 0) AS stopped,
    joined,
    greatest(joined, last_seen) AS last_seen
FROM roster
FULL JOIN told ON told.agent = roster.agent;

-- ask
SELECT * FROM agents
WHERE ($agent IS NULL OR agent = $agent) AND ($role IS NULL OR role = $role)
ORDER BY role, agent
LIMIT $limit OFFSET $offset;

-- log: how much of what is in the log; the row without a type is the sum. `commits` counts those that begin with it.
-- filters: kind, type
CREATE VIEW log AS
SELECT
    kind, type,
    count(*) AS events,
    count(*) FILTER (n = 0) AS commits,
    min(happened) AS first_at,
    max(happened) AS last_at,
    round(count(*) / nullif(epoch(max(happened) - min(happened)), 0), 3) AS per_second,
    min(seq) AS first_seq,
    max(seq) AS last_seq
FROM events
GROUP BY GROUPING SETS ((), (kind, type));

-- ask
SELECT * FROM log
WHERE ($kind IS NULL OR kind = $kind) AND ($type IS NULL OR type = $type)
ORDER BY type IS NOT NULL, events DESC, kind, type
LIMIT $limit OFFSET $offset;

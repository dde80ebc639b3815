-- spend: calls, money and tokens by day, month, task, model, provider and role; `cache_share` is how much of what was sent came from a cache.
-- filters: what, name
CREATE VIEW spend AS
WITH cut AS (
    SELECT
        unnest([
            {what: 'day', name: day},
            {what: 'month', name: left(day, 7)},
            {what: 'task', name: coalesce(task, 'none')},
            {what: 'model', name: concat_ws('/', provider, model)},
            {what: 'provider', name: provider},
            {what: 'role', name: coalesce(role, 'unknown')}
        ], recursive := true),
        cost_micro, reserved_micro, outcome, ms, input, output, cache_read, cache_write
    FROM calls
    WHERE provider IS NOT NULL AND outcome IN ('replied', 'failed', 'under way')
)
SELECT
    what, name,
    count(*) AS calls,
    count(*) FILTER (outcome = 'failed') AS failed,
    coalesce(sum(cost_micro), 0)::BIGINT / 1000000 AS usd,
    coalesce(sum(CASE WHEN cost_micro IS NULL THEN reserved_micro END), 0)::BIGINT / 1000000 AS reserved_usd,
    coalesce(sum(input), 0)::BIGINT AS input,
    coalesce(sum(output), 0)::BIGINT AS output,
    coalesce(sum(cache_read), 0)::BIGINT AS cache_read,
    coalesce(sum(cache_write), 0)::BIGINT AS cache_write,
    round(sum(cache_read) / nullif(sum(input + cache_read + cache_write), 0), 4) AS cache_share,
    round(quantile_cont(ms, 0.5), 3) AS ms_p50,
    coalesce(sum(cost_micro), 0)::BIGINT AS micro
FROM cut
GROUP BY what, name;

-- ask
SELECT * FROM spend
WHERE ($what IS NULL OR what = $what) AND ($name IS NULL OR name = $name)
ORDER BY array_position(['day', 'month', 'role', 'provider', 'model', 'task'], what),
    CASE WHEN what IN ('day', 'month') THEN name END DESC, micro DESC, calls DESC, name
LIMIT $limit OFFSET $offset;

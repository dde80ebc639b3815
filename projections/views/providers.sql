-- providers: every model that was asked: how often it replied and how fast, and until when it is left alone.
-- filters: provider, model, breaker
CREATE VIEW providers AS
WITH asked AS (
    SELECT
        provider, model,
        count(*) FILTER (outcome IN ('replied', 'failed')) AS calls,
        count(*) FILTER (outcome = 'replied') AS succeeded,
        count(*) FILTER (outcome = 'under way') AS under_way,
        round(quantile_cont(ms, 0.5), 3) AS ms_p50,
        round(quantile_cont(ms, 0.95), 3) AS ms_p95,
        max_by(failure, begun) FILTER (outcome = 'failed') AS last_failure,
        max(coalesce(ended, started)) AS last_asked
    FROM calls
    WHERE provider IS NOT NULL AND outcome IN ('replied', 'failed', 'under way')
    GROUP BY provider, model
),
told AS (
    SELECT
        piece(body, '$.provider') AS provider, piece(body, '$.model') AS model, type, place(seq, n) AS spot,
        TRY_CAST(piece(body, '$.until_s') AS DOUBLE) AS until_s
    FROM events
    WHERE kind = 'provider' AND type IN ('BreakerOpened', 'BreakerClosed', 'RateLimited')
),
rested AS (
    SELECT told.provider, told.model, max(until_s) AS until_s, bool_or(type = 'BreakerOpened') AS opened
    FROM told
    LEFT JOIN (SELECT provider, model, max(spot) AS spot FROM told WHERE type = 'BreakerClosed' GROUP BY ALL) AS closed
        ON closed.provider = told.provider AND closed.model = told.model
    WHERE told.spot >= coalesce(closed.spot, 0)
    GROUP BY told.provider, told.model
)
SELECT
    coalesce(asked.provider, rested.provider) AS provider,
    coalesce(asked.model, rested.model) AS model,
    coalesce(calls, 0) AS calls,
    coalesce(succeeded, 0) AS succeeded,
    round(succeeded / nullif(calls, 0), 4) AS rate,
    ms_p50, ms_p95,
    coalesce(under_way, 0) AS under_way,
    CASE WHEN opened THEN 'open' ELSE 'closed' END AS breaker,
    CASE WHEN rest > now THEN rest END AS rests_until,
    last_failure, last_asked
FROM asked
FULL JOIN rested ON rested.provider = asked.provider AND rested.model = asked.model
CROSS JOIN (SELECT max(happened) AS now FROM events)
CROSS JOIN LATERAL (SELECT TRY(make_timestamp((until_s * 1000000)::BIGINT)) AS rest);

-- ask
SELECT * FROM providers
WHERE ($provider IS NULL OR provider = $provider)
    AND ($model IS NULL OR model = $model)
    AND ($breaker IS NULL OR breaker = $breaker)
ORDER BY provider, calls DESC, model
LIMIT $limit OFFSET $offset;

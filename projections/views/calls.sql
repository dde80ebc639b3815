-- calls: every call to a model: who was asked and why, what it waited for, what it cost, and what came of it.
-- filters: task, run, agent, role, provider, model, side, outcome, failure, parked
CREATE VIEW calls AS
WITH funds AS (
    SELECT
        reservation,
        max_by(micro, spot) FILTER (type = 'FundsReserved') AS reserved,
        max(role) AS role,
        max(at_day) AS at_day,
        max(purpose) AS purpose,
        sum(micro) FILTER (type = 'FundsSettled')::BIGINT AS settled,
        max(spot) FILTER (type = 'FundsSettled') > max(spot) FILTER (type = 'FundsReserved') AS is_settled,
        bool_or(unknown) AS unknown
    FROM (
        SELECT
            type, place(seq, n) AS spot, role,
            piece(body, '$.reservation') AS reservation,
            coalesce(TRY_CAST(piece(body, '$.micro') AS BIGINT), 0) AS micro,
            piece(body, '$.at_day') AS at_day,
            piece(body, '$.purpose') AS purpose,
            coalesce(piece(body, '$.unknown') = 'true', false) AS unknown
        FROM events
        WHERE kind = 'budget' AND type IN ('FundsReserved', 'FundsSettled')
    )
    GROUP BY reservation
),
-- Narrow, because it has a row for every call that ever was: where it is told how the call began, waited and ended.
told AS (
    SELECT
        id AS run, turn, again,
        max(flow) AS task, max(owner) AS agent, min(place(seq, n)) AS begun,
        max(place(seq, n)) FILTER (type = 'CallStarted') AS start_spot,
        max(place(seq, n)) FILTER (type = 'CallParked') AS park_spot,
        max(place(seq, n)) FILTER (type IN ('ModelReplied', 'ModelFailed')) AS end_spot,
        count(*) FILTER (type = 'CallParked') AS waits
    FROM events
    WHERE kind = 'call' AND type IN ('CallStarted', 'CallParked', 'ModelReplied', 'ModelFailed')
    GROUP BY id, turn, again
),
start AS NOT MATERIALIZED (
    SELECT
        place(seq, n) AS spot, happened,
        piece(body, '$.provider') AS provider, piece(body, '$.model') AS model,
        piece(body, '$.reservation') AS reservation, TRY_CAST(piece(body, '$.local') AS BOOLEAN) AS local
    FROM events
    WHERE kind = 'call' AND type = 'CallStarted'
),
parking AS NOT MATERIALIZED (
    SELECT
        place(seq, n) AS spot, piece(body, '$.why') AS why, piece(body, '$.scope') AS scope,
        TRY(make_timestamp((TRY_CAST(piece(body, '$.until_s') AS DOUBLE) * 1000000)::BIGINT)) AS until
    FROM events
    WHERE kind = 'call' AND type = 'CallParked'
),
finish AS NOT MATERIALIZED (
    SELECT
        place(seq, n) AS spot, happened, type = 'ModelReplied' AS replied, nullif(failure, '') AS failure, ms,
        coalesce(piece(body, '$.prices') <> '', false) AS priced,
        coalesce(TRY_CAST(piece(body, '$.micro') AS BIGINT), 0) AS micro,
        coalesce(TRY_CAST(piece(body, '$.usage.input') AS BIGINT), 0) AS input,
        coalesce(TRY_CAST(piece(body, '$.usage.output') AS BIGINT), 0) AS output,
        coalesce(TRY_CAST(piece(body, '$.usage.cache_read') AS BIGINT), 0) AS cache_read,
        coalesce(TRY_CAST(piece(body, '$.usage.cache_write') AS BIGINT), 0) AS cache_write
    FROM events
    WHERE kind = 'call' AND type IN ('ModelReplied', 'ModelFailed')
),
joined AS (
    SELECT
        told.*,
        coalesce(start.provider, CASE WHEN finish.replied THEN 'script' END) AS provider, start.model,
        start.happened AS started, start.local, finish.happened AS ended,
        finish.* EXCLUDE (spot, happened, micro),
        parking.why AS parked, parking.scope AS parked_scope, parking.until AS parked_until,
        funds.reserved, funds.unknown, funds.at_day, funds.purpose, run_now.phase, run_now.said AS run_ended,
        CASE told.agent WHEN 'council' THEN 'council' ELSE coalesce(funds.role, run_now.role) END AS role,
        CASE WHEN funds.reservation IS NULL THEN finish.micro WHEN funds.is_settled THEN funds.settled END AS cost
    FROM told
    LEFT JOIN start ON start.spot = told.start_spot
    LEFT JOIN parking ON parking.spot = told.park_spot
    LEFT JOIN finish ON finish.spot = told.end_spot
    LEFT JOIN funds ON funds.reservation = start.reservation
    LEFT JOIN run_now ON run_now.run = told.run
)
SELECT
    nullif(task, '') AS task, run, agent, role, phase, turn, again, provider, model,
    CASE
        WHEN local THEN 'local'
        WHEN NOT local OR reserved > 0 OR cost > 0 OR priced THEN 'paid'
        WHEN model IS NOT NULL AND provider NOT LIKE 'script%' THEN 'local'
        WHEN provider IS NOT NULL THEN 'script'
    END AS side,
    CASE
        WHEN replied THEN 'replied'
        WHEN NOT replied THEN 'failed'
        WHEN start_spot IS NOT NULL THEN 'under way'
        WHEN run_ended IS NOT NULL THEN 'given up'
        ELSE 'parked'
    END AS outcome,
    CASE WHEN NOT replied THEN failure END AS failure,
    parked, parked_scope, parked_until, waits,
    reserved / 1000000 AS reserved_usd,
    cost / 1000000 AS cost_usd,
    coalesce(unknown, false) AS charged_in_full,
    CASE WHEN replied AND ms > 0 THEN ms END AS ms,
    input, output, cache_read, cache_write,
    coalesce(purpose, CASE agent WHEN 'council' THEN 'council' ELSE 'run' END) AS purpose,
    coalesce(at_day, strftime(coalesce(started, ended), '%Y-%m-%d')) AS day,
    started, ended, reserved AS reserved_micro, cost AS cost_micro, begun, start_spot, end_spot
FROM joined;

-- ask: the texts are looked up for the rows that are shown and for no others.
WITH page AS MATERIALIZED (
    SELECT * FROM calls
    WHERE ($task IS NULL OR task = $task)
        AND ($run IS NULL OR run = $run)
        AND ($agent IS NULL OR agent = $agent)
        AND ($role IS NULL OR role = $role)
        AND ($provider IS NULL OR provider = $provider)
        AND ($model IS NULL OR model = $model)
        AND ($side IS NULL OR side = $side)
        AND ($outcome IS NULL OR outcome = $outcome)
        AND ($failure IS NULL OR failure = $failure)
        AND ($parked IS NULL OR parked = $parked)
    ORDER BY begun DESC
    LIMIT $limit OFFSET $offset
)
SELECT
    page.* EXCLUDE (begun, start_spot, end_spot),
    started.reason AS reason,
    CASE ended.type WHEN 'ModelFailed' THEN ended.reason END AS error,
    nullif(piece(ended.body, '$.stop'), '') AS stop,
    nullif(piece(ended.body, '$.prices'), '') AS prices
FROM page
LEFT JOIN events AS started ON started.seq = page.start_spot // 65536 AND started.n = page.start_spot % 65536
LEFT JOIN events AS ended ON ended.seq = page.end_spot // 65536 AND ended.n = page.end_spot % 65536
ORDER BY page.begun DESC;

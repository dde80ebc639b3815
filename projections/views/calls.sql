-- calls: every call to a model: who was asked and why, what it waited for, what it cost, and what came of it.
-- filters: task, run, agent, role, provider, model, side, outcome, failure, parked
CREATE VIEW calls AS
WITH funds AS (
    SELECT
        reservation,
        max_by(micro, spot) FILTER (type = 'FundsReserved') AS reserved,
        max_by(role, spot) FILTER (type = 'FundsReserved') AS role,
        max_by(at_day, spot) FILTER (type = 'FundsReserved') AS at_day,
        max_by(purpose, spot) FILTER (type = 'FundsReserved') AS purpose,
        sum(micro) FILTER (type = 'FundsSettled')::BIGINT AS settled,
        max_by(type, spot) = 'FundsSettled' AS is_settled,
        max_by(unknown, spot) FILTER (type = 'FundsSettled') AS unknown
    FROM (
        SELECT
            type, place(seq, n) AS spot, role,
            piece(body, '$.reservation') AS reservation,
            coalesce(TRY_CAST(piece(body, '$.micro') AS BIGINT), 0) AS micro,
            piece(body, '$.at_day') AS at_day,
            coalesce(piece(body, '$.purpose'), 'run') AS purpose,
            coalesce(piece(body, '$.unknown') = 'true', false) AS unknown
        FROM events
        WHERE kind = 'budget' AND type IN ('FundsReserved', 'FundsSettled')
    )
    GROUP BY reservation
),
told AS (
    SELECT
        id AS run, turn, again,
        min_by(nullif(flow, ''), place(seq, n)) AS task,
        min_by(owner, place(seq, n)) AS agent,
        min(place(seq, n)) AS begun,
        count(*) FILTER (type = 'CallParked') AS waits,
        max_by(CASE type WHEN 'CallStarted' THEN {
            happened: happened, reason: reason, provider: piece(body, '$.provider'), model: piece(body, '$.model'),
            reservation: piece(body, '$.reservation')
        } END, place(seq, n)) AS start,
        max_by(CASE type WHEN 'CallParked' THEN {
            happened: happened, why: piece(body, '$.why'), scope: piece(body, '$.scope'),
            until: TRY(make_timestamp((TRY_CAST(piece(body, '$.until_s') AS DOUBLE) * 1000000)::BIGINT))
        } END, place(seq, n)) AS parked,
        max_by(CASE WHEN type IN ('ModelReplied', 'ModelFailed') THEN {
            type: type, happened: happened, mind: mind, failure: failure, ms: ms,
            error: CASE type WHEN 'ModelFailed' THEN reason END,
            provider: nullif(piece(body, '$.provider'), ''), model: nullif(piece(body, '$.model'), ''),
            micro: coalesce(TRY_CAST(piece(body, '$.micro') AS BIGINT), 0), prices: nullif(piece(body, '$.prices'), ''),
            stop: nullif(piece(body, '$.stop'), ''),
            input: coalesce(TRY_CAST(piece(body, '$.usage.input') AS BIGINT), 0),
            output: coalesce(TRY_CAST(piece(body, '$.usage.output') AS BIGINT), 0),
            cache_read: coalesce(TRY_CAST(piece(body, '$.usage.cache_read') AS BIGINT), 0),
            cache_write: coalesce(TRY_CAST(piece(body, '$.usage.cache_write') AS BIGINT), 0)
        } END, place(seq, n)) AS ended
    FROM events
    WHERE kind = 'call' AND type IN ('CallStarted', 'CallParked', 'ModelReplied', 'ModelFailed')
    GROUP BY id, turn, again
),
joined AS (
    SELECT
        told.*, funds.* EXCLUDE (role), run_now.phase, run_now.said AS run_ended,
        coalesce(funds.role, run_now.role) AS role,
        coalesce(told.start.provider, told.ended.provider, split_part(nullif(told.ended.mind, 'nobody'), ':', 1)) AS provider,
        coalesce(told.start.model, told.ended.model) AS model,
        CASE WHEN funds.reservation IS NULL THEN told.ended.micro WHEN funds.is_settled THEN funds.settled END AS cost
    FROM told
    LEFT JOIN funds ON funds.reservation = told.start.reservation
    LEFT JOIN run_now ON run_now.run = told.run
)
SELECT
    task, run, agent, role, phase, turn, again, provider, model,
    CASE
        WHEN reserved > 0 OR cost > 0 OR ended.prices IS NOT NULL THEN 'paid'
        WHEN model IS NOT NULL AND provider NOT LIKE 'script%' THEN 'local'
        WHEN provider IS NOT NULL THEN 'script'
    END AS side,
    start.reason AS reason,
    CASE
        WHEN ended.type = 'ModelReplied' THEN 'replied'
        WHEN ended.type = 'ModelFailed' THEN 'failed'
        WHEN start IS NOT NULL THEN 'under way'
        WHEN run_ended IS NOT NULL THEN 'given up'
        ELSE 'parked'
    END AS outcome,
    CASE ended.type WHEN 'ModelFailed' THEN nullif(ended.failure, '') END AS failure,
    ended.error AS error,
    parked.why AS parked, parked.scope AS parked_scope, parked.until AS parked_until, waits,
    reserved / 1000000 AS reserved_usd,
    cost / 1000000 AS cost_usd,
    coalesce(unknown, false) AS charged_in_full,
    CASE WHEN ended.type = 'ModelReplied' AND ended.ms > 0 THEN ended.ms END AS ms,
    ended.input AS input, ended.output AS output, ended.cache_read AS cache_read, ended.cache_write AS cache_write,
    ended.stop AS stop, ended.prices AS prices, coalesce(purpose, 'run') AS purpose,
    coalesce(at_day, strftime(coalesce(start.happened, ended.happened), '%Y-%m-%d')) AS day,
    start.happened AS started, ended.happened AS ended,
    reserved AS reserved_micro, cost AS cost_micro, begun
FROM joined;

-- ask
SELECT * EXCLUDE (begun) FROM calls
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
LIMIT $limit OFFSET $offset;

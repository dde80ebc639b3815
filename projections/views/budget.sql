-- budget: every cap and what is left under it: spent, reserved, the rate of the hour before the newest event, and how long the rest lasts at it.
-- filters: scope, window, state
CREATE VIEW budget AS
WITH told AS (
    SELECT
        type, happened, place(seq, n) AS spot, body,
        piece(body, '$.reservation') AS reservation,
        coalesce(TRY_CAST(piece(body, '$.micro') AS BIGINT), 0) AS micro,
        task, piece(body, '$.at_day') AS at_day,
        coalesce(piece(body, '$.purpose'), 'run') AS purpose,
        piece(body, '$.scope') AS scope,
        piece(body, '$.window') AS "window",
        TRY_CAST(piece(body, '$.wanted') AS BIGINT) AS wanted
    FROM events
    WHERE kind = 'budget'
),
clock AS (
    SELECT max(happened) AS now, strftime(max(happened), '%Y-%m-%d') AS today FROM events
),
caps AS (
    SELECT max_by({
        day: coalesce(TRY_CAST(piece(body, '$.day') AS BIGINT), 0),
        month: coalesce(TRY_CAST(piece(body, '$.month') AS BIGINT), 0),
        task: coalesce(TRY_CAST(piece(body, '$.task') AS BIGINT), 0),
        council: coalesce(TRY_CAST(piece(body, '$.council') AS BIGINT), 0)
    }, spot) AS cap
    FROM told
    WHERE type = 'CapsRevised'
),
-- A reservation whose call never began is settled and may be made again under its name.
paired AS (
    SELECT *,
        lead(type) OVER following AS next_type, lead(micro) OVER following AS next_micro,
        lead(happened) OVER following AS next_at
    FROM told
    WHERE type IN ('FundsReserved', 'FundsSettled')
    WINDOW following AS (PARTITION BY reservation ORDER BY spot)
),
taken AS (
    SELECT
        task, at_day, purpose,
        CASE WHEN next_type = 'FundsSettled' THEN next_micro ELSE 0 END AS spent,
        CASE WHEN next_type = 'FundsSettled' THEN 0 ELSE micro END AS reserved,
        CASE WHEN next_type = 'FundsSettled' AND next_at > clock.now - INTERVAL 1 HOUR THEN next_micro ELSE 0 END
            AS lately,
        coalesce(CASE next_type WHEN 'FundsSettled' THEN next_at END, happened) AS happened
    FROM paired, clock
    WHERE type = 'FundsReserved'
),
cut AS (
    SELECT 'day' AS scope, at_day AS "window", spent, reserved, lately, happened FROM taken
    UNION ALL SELECT 'month', left(at_day, 7), spent, reserved, lately, happened FROM taken
    UNION ALL SELECT 'task', task, spent, reserved, lately, happened FROM taken
    UNION ALL SELECT 'council', at_day, spent, reserved, lately, happened FROM taken WHERE purpose <> 'run'
    UNION ALL SELECT scope, "window", 0, 0, 0, happened FROM told WHERE type = 'BudgetExhausted'
    UNION ALL SELECT 'task', task, 0, 0, 0, happened FROM told WHERE type = 'TaskToppedUp'
    UNION ALL SELECT scope, CASE scope WHEN 'month' THEN left(today, 7) ELSE today END, 0, 0, 0, NULL
        FROM clock, caps, unnest(['day', 'month', 'council']) AS each(scope)
        WHERE cap IS NOT NULL
),
summed AS (
    SELECT scope, "window", sum(spent)::BIGINT AS spent, sum(reserved)::BIGINT AS reserved,
        sum(lately)::BIGINT AS lately, max(happened) AS updated
    FROM cut
    GROUP BY scope, "window"
),
extra AS (
    SELECT task, sum(micro)::BIGINT AS micro FROM told WHERE type = 'TaskToppedUp' GROUP BY task
),
waited AS (
    SELECT scope, "window", max_by(wanted, spot) AS wanted, max_by(happened, spot) AS happened
    FROM told
    WHERE type = 'BudgetExhausted'
    GROUP BY scope, "window"
),
weighed AS (
    SELECT
        summed.*, summed.spent + summed.reserved AS taken, waited.wanted, waited.happened AS exhausted,
        coalesce(CASE summed.scope
            WHEN 'day' THEN caps.cap.day
            WHEN 'month' THEN caps.cap.month
            WHEN 'council' THEN caps.cap.council
            ELSE caps.cap.task
        END, 0) + CASE summed.scope WHEN 'task' THEN coalesce(extra.micro, 0) ELSE 0 END AS cap,
        CASE
            WHEN summed.scope = 'task' THEN lately
            WHEN starts_with(clock.today, summed."window") THEN sum(lately) OVER (PARTITION BY summed.scope)
            ELSE 0
        END::BIGINT AS rate
    FROM summed
    CROSS JOIN clock
    LEFT JOIN caps ON true
    LEFT JOIN extra ON summed.scope = 'task' AND extra.task = summed."window"
    LEFT JOIN waited ON waited.scope = summed.scope AND waited."window" = summed."window"
)
SELECT
    scope, "window",
    spent / 1000000 AS spent_usd,
    reserved / 1000000 AS reserved_usd,
    cap / 1000000 AS cap_usd,
    CASE WHEN cap > 0 THEN round(taken * 100 / cap, 1) ELSE 100 END AS percent,
    CASE
        WHEN taken >= cap OR wanted > cap - taken THEN 'exhausted'
        WHEN taken * 100 >= cap * 80 THEN 'warned'
        ELSE 'ok'
    END AS state,
    greatest(cap - taken, 0) / 1000000 AS left_usd,
    rate / 1000000 AS usd_per_hour,
    CASE WHEN rate > 0 THEN round(greatest(cap - taken, 0) / rate, 2) END AS hours_to_exhaustion,
    exhausted, updated,
    spent AS spent_micro, reserved AS reserved_micro, cap AS cap_micro
FROM weighed;

-- ask
SELECT * FROM budget
WHERE ($scope IS NULL OR scope = $scope)
    AND ($window IS NULL OR "window" = $window)
    AND ($state IS NULL OR state = $state)
ORDER BY array_position(['day', 'month', 'council', 'task'], scope),
    CASE WHEN scope <> 'task' THEN "window" END DESC, updated DESC, "window"
LIMIT $limit OFFSET $offset;

-- council_wins: who won how often, by model, by problem kind, by both, and by pairs that sat together; the table has a row for each council, the answer sums them, says the rate with the interval that holds nine tenths, and counts from `since` on.
-- filters: cut, name, other, kind, since
CREATE VIEW council_wins AS
WITH seats AS (
    SELECT
        council,
        list({model: model, won: won, solved: solved, cost_micro: cost_micro}) FILTER (purpose = 'member') AS seats,
        max(best) AS best, max(winners) AS winners
    FROM (
        SELECT council, purpose, model, bool_or(won) AS won, bool_or(solved) AS solved,
            sum(cost_micro)::BIGINT AS cost_micro,
            max(list_avg(judge_points)) AS best, max(list_avg(judge_points)) FILTER (won) AS winners
        FROM candidates
        GROUP BY council, purpose, model
    )
    GROUP BY council
),
sat AS MATERIALIZED (
    SELECT
        councils.council, coalesce(kind, 'other') AS kind, outcome, helped, judge, cost_micro, seats,
        strftime(ended, '%Y-%m-%dT%H:%M:%S') AS since,
        CASE WHEN best IS NOT NULL AND helped IN ('success', 'failure')
            THEN helped = 'success' AND coalesce(winners = best, false) END AS was_right
    FROM councils
    LEFT JOIN seats ON seats.council = councils.council
    WHERE ended IS NOT NULL AND outcome IS DISTINCT FROM 'called_off'
),
one AS (
    SELECT sat.* EXCLUDE (cost_micro), unnest(seats, recursive := true) FROM sat
),
two AS (
    SELECT council, kind, since, helped, unnest(flatten(list_transform(seats, lambda a:
        list_transform(list_filter(seats, lambda b: a.model < b.model), lambda b: {a: a, b: b})))) AS pair
    FROM sat
),
marked AS (
    SELECT 'model' AS cut, model AS name, NULL AS other, kind, since, council,
        true AS sat, won, NOT won AS lost, solved, CASE WHEN won THEN helped END AS helped,
        NULL::BOOLEAN AS was_right, cost_micro
    FROM one
    UNION ALL
    SELECT 'model', judge, NULL, kind, since, council, false, NULL, NULL, NULL, NULL, was_right, 0
    FROM sat
    WHERE judge IS NOT NULL AND was_right IS NOT NULL
    UNION ALL
    SELECT 'kind', kind, NULL, kind, since, council, true, outcome = 'answered', outcome <> 'answered',
        list_bool_or(list_transform(seats, lambda each: each.solved)), helped, was_right, cost_micro
    FROM sat
    UNION ALL
    SELECT 'pair', pair.a.model, pair.b.model, kind, since, council, true,
        pair.a.solved AND NOT pair.b.solved, pair.b.solved AND NOT pair.a.solved, pair.a.solved OR pair.b.solved,
        CASE WHEN pair.a.won OR pair.b.won THEN helped END, NULL, pair.a.cost_micro + pair.b.cost_micro
    FROM two
)
SELECT
    cut, name, other, kind, since, council,
    sat::INTEGER AS sittings,
    coalesce(won, false)::INTEGER AS wins,
    coalesce(lost, false)::INTEGER AS losses,
    (solved IS NOT NULL)::INTEGER AS seen,
    coalesce(solved, false)::INTEGER AS solved,
    (helped IS NOT NULL)::INTEGER AS known,
    coalesce(helped = 'success', false)::INTEGER AS helped,
    (was_right IS NOT NULL)::INTEGER AS judged,
    coalesce(was_right, false)::INTEGER AS judge_right,
    cost_micro
FROM (
    SELECT * FROM marked
    UNION ALL
    SELECT * REPLACE ('model-kind' AS cut) FROM marked WHERE cut = 'model'
);

-- ask
WITH counted AS (
    SELECT
        cut, name, other, CASE cut WHEN 'model-kind' THEN kind WHEN 'kind' THEN kind ELSE coalesce($kind, 'all') END AS kind,
        sum(sittings)::BIGINT AS sittings, sum(wins)::BIGINT AS wins, sum(losses)::BIGINT AS losses,
        sum(seen)::BIGINT AS seen, sum(solved)::BIGINT AS solved,
        sum(known)::BIGINT AS known, sum(helped)::BIGINT AS helped,
        sum(judged)::BIGINT AS judged, sum(judge_right)::BIGINT AS judge_right,
        sum(cost_micro)::BIGINT AS cost_micro, min(since) AS since
    FROM council_wins
    WHERE ($cut IS NULL OR cut = $cut)
        AND ($name IS NULL OR name = $name)
        AND ($other IS NULL OR other = $other)
        AND ($kind IS NULL OR kind = $kind)
        AND ($since IS NULL OR since >= $since)
    GROUP BY 1, 2, 3, 4
)
SELECT
    cut, name, other, kind, sittings, wins, losses,
    round(wins / nullif(wins + losses, 0), 4) AS rate,
    rate_at(0.05, wins, losses) AS low, rate_at(0.95, wins, losses) AS high, wins + losses AS sample,
    seen, solved, round(solved / nullif(seen, 0), 4) AS solve_rate,
    known, helped, round(helped / nullif(known, 0), 4) AS success_rate,
    cost_micro / 1000000 AS cost_usd, round(cost_micro / 1000000 / nullif(helped, 0), 6) AS usd_per_resolution,
    judged, judge_right, round(judge_right / nullif(judged, 0), 4) AS judge_rate,
    cost_micro, since
FROM counted
ORDER BY array_position(['model', 'model-kind', 'kind', 'pair'], cut), wins / nullif(wins + losses, 0) DESC NULLS LAST,
    sittings DESC, name, other, kind
LIMIT $limit OFFSET $offset;

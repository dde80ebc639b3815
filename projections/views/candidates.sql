-- candidates: what each member of a council said and what came of trying it, with its scores by criterion; who did not answer too.
-- filters: council, candidate, model, family, missing
CREATE VIEW candidates AS
WITH spoken AS (
    SELECT
        type, body, failure, reason, ms, place(seq, n) AS spot,
        CASE kind WHEN 'budget' THEN piece(body, '$.reservation') WHEN 'call' THEN concat('council/', id, '/') END AS bought,
        CASE WHEN kind IN ('council', 'trial') THEN id ELSE council_of(bought) END AS council,
        CASE WHEN kind IN ('council', 'trial') THEN coalesce(piece(body, '$.candidate'), piece(body, '$.member'))
            ELSE member_of(bought) END AS candidate
    FROM events
    WHERE (kind = 'council' AND type IN ('OpinionAsked', 'CandidateMade', 'OpinionMissing'))
        OR (kind = 'trial' AND type = 'CandidateTried')
        OR (kind = 'call' AND owner = 'council' AND type = 'ModelReplied')
        OR (kind = 'budget' AND type = 'FundsSettled')
),
said AS (
    SELECT
        council, candidate,
        min(spot) AS spot,
        arg_min(piece(body, '$.model'), spot) FILTER (type = 'OpinionAsked') AS model,
        arg_min(piece(body, '$.purpose'), spot) FILTER (type = 'OpinionAsked') AS purpose,
        arg_min(body, spot) FILTER (type = 'CandidateMade') AS made,
        arg_min(failure, spot) FILTER (type = 'OpinionMissing') AS missing,
        arg_min(reason, spot) FILTER (type = 'OpinionMissing') AS missing_why,
        arg_min(body, spot) FILTER (type = 'CandidateTried') AS trial,
        arg_max(ms, spot) FILTER (type = 'ModelReplied') AS ms,
        coalesce(sum(TRY_CAST(piece(body, '$.micro') AS BIGINT)) FILTER (type = 'FundsSettled'), 0)::BIGINT AS cost_micro
    FROM spoken
    WHERE council <> ''
    GROUP BY council, candidate
    HAVING (purpose IS NOT NULL OR made IS NOT NULL) AND purpose IS DISTINCT FROM 'judge'
),
sat AS (
    SELECT
        id AS council,
        arg_min(body, place(seq, n)) FILTER (type = 'MembersChosen') AS chosen,
        arg_min(body, place(seq, n)) FILTER (type = 'CouncilEnded') AS ending,
        list(body ORDER BY seq, n) FILTER (type = 'JudgeHeard') AS heard
    FROM events
    WHERE kind = 'council' AND type IN ('MembersChosen', 'CouncilEnded', 'JudgeHeard')
    GROUP BY id
),
joined AS (
    SELECT
        said.*, ending,
        list_filter(
            TRY(from_json(json_extract(chosen, '$.members'), '[{"id": "VARCHAR", "family": "VARCHAR",
                "persona": "VARCHAR", "expected": "DOUBLE", "explored": "BOOLEAN"}]')),
            lambda each: each.id = said.candidate
        )[1] AS seat,
        list_filter(
            TRY(from_json(json_extract(ending, '$.scores'), '[{"candidate": "VARCHAR", "total": "DOUBLE",
                "correctness": "DOUBLE", "reasoning": "DOUBLE", "tests": "DOUBLE", "confidence": "DOUBLE"}]')),
            lambda each: each.candidate = said.candidate
        )[1] AS score,
        list_transform(heard, lambda one: {
            points: TRY_CAST(piece(one, '$.scores."' || said.candidate || '"') AS DOUBLE),
            reason: piece(one, '$.reasons."' || said.candidate || '"')
        }) AS judge,
        nullif(piece(made, '$.kept_from'), '') AS kept_from,
        TRY_CAST(piece(trial, '$.applies') AS BOOLEAN) AS applies,
        TRY_CAST(piece(trial, '$.syntax') AS BOOLEAN) AS syntax,
        TRY_CAST(piece(trial, '$.types') AS BOOLEAN) AS types,
        coalesce(json_type(trial, '$.tests') = 'OBJECT', false) AS tested,
        coalesce(TRY_CAST(piece(trial, '$.tests.passed') AS BIGINT), 0) AS passed,
        coalesce(TRY_CAST(piece(trial, '$.tests.failed') AS BIGINT), 0)
            + coalesce(TRY_CAST(piece(trial, '$.tests.errors') AS BIGINT), 0) AS failed,
        nullif(piece(trial, '$.likeness'), '') AS likeness
    FROM said
    LEFT JOIN sat ON sat.council = said.council
),
found AS (
    SELECT *,
        CASE WHEN trial IS NOT NULL THEN
            coalesce(applies, false) AND coalesce(syntax, true) AND (NOT tested OR (passed > 0 AND failed = 0))
        END AS able
    FROM joined
)
SELECT
    council, candidate, coalesce(model, kept_from) AS model, seat.family AS family,
    nullif(seat.persona, '') AS persona,
    coalesce(purpose, 'kept') AS purpose,
    coalesce(piece(ending, '$.winner') = candidate, false) AS won,
    score.total AS total, score.correctness AS correctness, score.reasoning AS reasoning, score.tests AS testing,
    score.confidence AS stated,
    applies, syntax, types,
    CASE WHEN tested THEN passed || '/' || (passed + failed) END AS tests,
    able,
    CASE
        WHEN ending IS NULL THEN NULL
        WHEN score IS NOT NULL AND able IS NOT NULL THEN able
        WHEN made IS NOT NULL THEN NULL
        WHEN missing IN ('budget', 'rate_limit', 'lost', 'help') THEN NULL
        WHEN missing IS NOT NULL THEN false
        WHEN piece(ending, '$.outcome') <> 'called_off' THEN false
    END AS solved,
    list_filter(list_transform(judge, lambda each: each.points), lambda each: each IS NOT NULL) AS judge_points,
    list_filter(judge, lambda each: each.reason IS NOT NULL)[1].reason AS judge_reason,
    TRY_CAST(piece(made, '$.confidence') AS DOUBLE) AS confidence,
    seat.expected AS expected, coalesce(seat.explored, false) AS explored,
    missing, coalesce(nullif(missing_why, ''), nullif(piece(trial, '$.reason'), '')) AS reason,
    TRY_CAST(piece(trial, '$.lines') AS BIGINT) AS lines,
    TRY_CAST(piece(trial, '$.ms') AS DOUBLE) AS trial_ms,
    ms, cost_micro / 1000000 AS cost_usd,
    piece(made, '$.explanation.text') AS explanation,
    TRY(json_extract_string(trial, '$.tests.failures[*]')) AS failures,
    piece(trial, '$.output.text') AS output,
    kept_from, piece(made, '$.solution') AS solution, likeness, cost_micro, spot
FROM found;

-- ask: equal `likes` are candidates of a council that propose the same.
SELECT * EXCLUDE (spot, likeness),
    CASE WHEN likeness IS NOT NULL
        THEN dense_rank() OVER (PARTITION BY council, likeness IS NULL ORDER BY likeness) END AS likes,
    likeness
FROM candidates
WHERE ($council IS NULL OR council = $council)
    AND ($candidate IS NULL OR candidate = $candidate)
    AND ($model IS NULL OR model = $model)
    AND ($family IS NULL OR family = $family)
    AND ($missing IS NULL OR missing = $missing)
ORDER BY council DESC, spot
LIMIT $limit OFFSET $offset;

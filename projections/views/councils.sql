-- councils: every council: what about, who sat, who won and why, what it cost, and whether it helped; the newest first.
-- filters: council, task, kind, stage, outcome, by_whom, strategy, helped
CREATE VIEW councils AS
WITH told AS (
    SELECT
        id AS council,
        arg_min(task, spot) FILTER (type = 'CouncilConvened') AS task,
        arg_min(phase, spot) FILTER (type = 'CouncilConvened') AS phase,
        arg_min(failure, spot) FILTER (type = 'CouncilConvened') AS failure,
        arg_min(reason, spot) FILTER (type = 'CouncilConvened') AS question,
        arg_min(agent, spot) FILTER (type = 'CouncilConvened') AS agent,
        arg_min(run, spot) FILTER (type = 'CouncilConvened') AS run,
        arg_min(happened, spot) FILTER (type = 'CouncilConvened') AS convened,
        arg_min(CASE type WHEN 'CouncilConvened' THEN body END, spot) AS convening,
        arg_min(CASE type WHEN 'ProblemGathered' THEN body END, spot) AS gathered,
        arg_min(CASE type WHEN 'MembersChosen' THEN body END, spot) AS chosen,
        arg_min(CASE type WHEN 'CouncilEnded' THEN body END, spot) AS ending,
        arg_min(CASE type WHEN 'CouncilEnded' THEN happened END, spot) AS ended,
        arg_min(CASE type WHEN 'CouncilEnded' THEN reason END, spot) AS why,
        arg_max(CASE type WHEN 'OutcomeRecorded' THEN body END, spot) AS outcome,
        count(*) FILTER (type = 'CandidateMade') AS candidates,
        count(*) FILTER (type = 'OpinionMissing') AS missing,
        count(*) FILTER (type = 'JudgeHeard') AS sittings,
        max(CASE
            WHEN type = 'ProblemGathered' THEN 1
            WHEN type = 'OpinionAsked' AND piece(body, '$.purpose') = 'judge' THEN 4
            WHEN type = 'OpinionAsked' THEN 2
            WHEN type IN ('TrialAsked', 'CandidateTried') THEN 3
            WHEN type IN ('CouncilEnded', 'GatheringFailed') THEN 5
        END) AS step,
        min(spot) AS spot
    FROM (SELECT *, place(seq, n) AS spot FROM events WHERE kind IN ('council', 'trial') AND type <> 'Unreadable')
    GROUP BY id
),
funds AS (
    SELECT
        council_of(piece(body, '$.reservation')) AS council,
        sum(CASE type WHEN 'FundsSettled' THEN TRY_CAST(piece(body, '$.micro') AS BIGINT) END)::BIGINT AS micro
    FROM events
    WHERE kind = 'budget' AND type = 'FundsSettled' AND piece(body, '$.reservation') LIKE 'council/%'
    GROUP BY 1
)
SELECT
    told.council, task, phase, failure,
    piece(gathered, '$.kind') AS kind,
    CASE WHEN ending IS NOT NULL THEN 'ended'
        ELSE coalesce(['choosing', 'asking', 'trying', 'judging', 'ending'][step], 'gathering') END AS stage,
    piece(ending, '$.outcome') AS outcome,
    piece(outcome, '$.outcome') AS helped,
    nullif(piece(ending, '$.winner'), '') AS winner,
    nullif(piece(ending, '$.by'), '') AS by_whom,
    coalesce(nullif(piece(ending, '$.strategy'), ''), piece(convening, '$.strategy')) AS strategy,
    coalesce(piece(convening, '$.size'), 'standard') AS size,
    piece(chosen, '$.members[*].model') AS members,
    nullif(piece(chosen, '$.judge'), '') AS judge,
    candidates, missing, sittings,
    coalesce(micro, 0) / 1000000 AS cost_usd,
    round(epoch(ended - convened) * 1000, 0)::BIGINT AS ms,
    nullif(why, '') AS reason,
    nullif(question, '') AS question,
    nullif(piece(outcome, '$.why'), '') AS helped_why,
    nullif(piece(chosen, '$.note'), '') AS note,
    json_extract(chosen, '$.left_out')::VARCHAR AS left_out,
    nullif(piece(gathered, '$.tests'), '') AS tests,
    agent, run,
    coalesce(piece(convening, '$.by_hand') = 'true', false) AS by_hand,
    convened, ended,
    TRY(make_timestamp((TRY_CAST(piece(convening, '$.until_s') AS DOUBLE) * 1000000)::BIGINT)) AS until,
    piece(gathered, '$.problem') AS problem,
    piece(gathered, '$.fingerprint') AS fingerprint,
    nullif(piece(ending, '$.solution'), '') AS solution,
    coalesce(micro, 0) AS cost_micro, spot
FROM told
LEFT JOIN funds ON funds.council = told.council
WHERE convening IS NOT NULL;

-- ask
SELECT * EXCLUDE (spot) FROM councils
WHERE ($council IS NULL OR council = $council)
    AND ($task IS NULL OR task = $task)
    AND ($kind IS NULL OR kind = $kind)
    AND ($stage IS NULL OR stage = $stage)
    AND ($outcome IS NULL OR outcome = $outcome)
    AND ($by_whom IS NULL OR by_whom = $by_whom)
    AND ($strategy IS NULL OR strategy = $strategy)
    AND ($helped IS NULL OR helped = $helped)
ORDER BY spot DESC
LIMIT $limit OFFSET $offset;

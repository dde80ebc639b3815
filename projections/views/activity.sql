-- activity: the latest events, one readable line each.
-- filters: task, kind, id, type, agent
CREATE VIEW activity AS
SELECT
    seq, n, happened, kind, id, type,
    coalesce(task, nullif(flow, '')) AS task,
    coalesce(agent, owner) AS agent,
    coalesce(CASE type
        WHEN 'TaskSubmitted' THEN 'submitted: ' || left(text, 80)
        WHEN 'PhaseRequested' THEN phase || ' wants a ' || role || CASE WHEN attempt > 1 THEN ', attempt ' || attempt ELSE '' END
        WHEN 'PhaseAssigned' THEN phase || ' goes to ' || agent
        WHEN 'PhaseCompleted' THEN phase || ' completed by ' || agent
        WHEN 'PhaseFailed' THEN phase || ' failed with ' || agent || ': ' || left(reason, 120)
        WHEN 'AssignmentLost' THEN phase || ' lost by ' || agent || ': ' || left(reason, 120)
        WHEN 'TaskRouted' THEN phase || CASE WHEN coalesce(piece(body, '$.review') = 'true', false)
            THEN ' is looked at first by ' ELSE ' is for ' END || coalesce(nullif(agent, ''), 'any ' || role) || ': ' || left(reason, 120)
        WHEN 'ReviewAssigned' THEN phase || ' is looked at by ' || agent
        WHEN 'ReviewEnded' THEN phase || ' was looked at by ' || agent || ': '
            || left(coalesce(nullif(piece(body, '$.advice'), ''), nullif(reason, ''), 'nothing said'), 120)
        WHEN 'ResultRefused' THEN 'late result of ' || agent || ' refused: ' || left(reason, 120)
        WHEN 'PipelineStarted' THEN 'pipeline started'
        WHEN 'TaskCompleted' THEN 'task completed'
        WHEN 'AgentJoined' THEN agent || ' joined as ' || role || ' with capacity ' || coalesce(piece(body, '$.capacity'), '1')
        WHEN 'WorkAssigned' THEN id || ' got ' || phase || ' of ' || task
        WHEN 'RunStarted' THEN owner || ' started ' || phase || ' with ' || mind
        WHEN 'RunFinished' THEN owner || ' finished with ' || coalesce(len(artifacts), 0) || ' artifacts'
        WHEN 'SlotsResized' THEN slots || ' pipelines may run at once'
        WHEN 'RecoveryStarted' THEN phase || ' is tried again after ' || failure || ': ' || coalesce(piece(body, '$.strategy'), '')
        WHEN 'RecoveryEnded' THEN failure || ' in ' || phase || CASE WHEN ok THEN ' was made good' ELSE ' was not made good' END
        WHEN 'PhaseReopened' THEN phase || ' is reopened: ' || left(coalesce(piece(body, '$.because'), ''), 120)
        WHEN 'PersonAsked' THEN phase || ' waits for a person: ' || left(coalesce(piece(body, '$.question'), ''), 120)
        WHEN 'CouncilAsked' THEN phase || ' waits for a council: ' || left(reason, 120)
        WHEN 'CouncilAnswered' THEN phase || ' was told by the council ' || piece(body, '$.council') || ': '
            || CASE WHEN piece(body, '$.solution') <> '' THEN 'a solution' ELSE piece(body, '$.outcome') END
        WHEN 'CouncilConvened' THEN 'a council is convened for ' || phase || ' of ' || task || ': ' || left(reason, 120)
        WHEN 'ProblemGathered' THEN 'the problem is gathered: ' || coalesce(piece(body, '$.kind'), '?')
        WHEN 'MembersChosen' THEN 'the council sits: ' || coalesce(array_to_string(piece(body, '$.members[*].model'), ', '), 'nobody')
            || coalesce(', and ' || nullif(piece(body, '$.judge'), '') || ' judges', '')
        WHEN 'OpinionAsked' THEN piece(body, '$.member') || ' is asked as ' || piece(body, '$.purpose') || ': ' || piece(body, '$.model')
        WHEN 'OpinionMissing' THEN piece(body, '$.member') || ' has no answer, ' || failure || ': ' || left(reason, 120)
        WHEN 'CandidateMade' THEN piece(body, '$.candidate') || ' proposes: ' || left(coalesce(piece(body, '$.explanation.text'), ''), 120)
        WHEN 'TrialAsked' THEN piece(body, '$.candidate') || ' is to be tried'
        WHEN 'CandidateTried' THEN piece(body, '$.candidate') || CASE
            WHEN piece(body, '$.applies') = 'false' THEN ' does not apply: ' || left(coalesce(reason, ''), 120)
            ELSE ' was tried: ' || coalesce(piece(body, '$.tests.passed'), CASE WHEN json_type(body, '$.tests') = 'OBJECT' THEN '0' END,
                'no') || ' tests pass' END
        WHEN 'JudgeHeard' THEN 'the judge was heard, sitting ' || coalesce(piece(body, '$.sitting'), '?')
        WHEN 'CouncilEnded' THEN 'the council has ended, ' || piece(body, '$.outcome')
            || coalesce(' by ' || nullif(piece(body, '$.by'), ''), '') || ': ' || left(reason, 120)
        WHEN 'OutcomeRecorded' THEN 'what the council said came to a ' || replace(piece(body, '$.outcome'), '_', ' ') || ': '
            || left(coalesce(piece(body, '$.why'), ''), 120)
        WHEN 'ModelRequested' THEN owner || ' thinks, turn ' || turn
        WHEN 'ModelReplied' THEN mind || ' replied: ' || left(coalesce(piece(body, '$.text'), ''), 120)
        WHEN 'ToolRequested' THEN owner || ' wants ' || call || ': ' || tool
        WHEN 'StepRefused' THEN call || ' was refused, ' || tool || ': ' || left(reason, 120)
        WHEN 'StepEnded' THEN call || CASE WHEN ok THEN ' succeeded' ELSE ' failed: ' || failure END
        WHEN 'ToolEnded' THEN call || CASE WHEN ok THEN ' was done' ELSE ' failed: ' || failure END
        WHEN 'ExecEnded' THEN call || ' ended by ' || coalesce(piece(body, '$.ended_by'), '?')
            || coalesce(' with ' || piece(body, '$.exit'), '')
        WHEN 'WorkspaceOpened' THEN 'workspace on branch ' || coalesce(piece(body, '$.branch'), '?')
        WHEN 'WorkspaceMerged' THEN 'merged into ' || coalesce(piece(body, '$.into'), '?')
        WHEN 'SandboxAttested' THEN 'sandbox at level ' || coalesce(piece(body, '$.level'), '?')
        WHEN 'Unreadable' THEN 'unreadable: ' || left(body, 120)
        ELSE concat_ws(' ',
            lower(regexp_replace(type, '([a-z])([A-Z])', '\1 \2', 'g')), coalesce(piece(body, '$.pipeline'), piece(body, '$.actor')),
            CASE WHEN reason <> '' THEN '(' || left(reason, 120) || ')' END)
    END, lower(regexp_replace(type, '([a-z])([A-Z])', '\1 \2', 'g'))) AS line
FROM events;

-- ask
SELECT * EXCLUDE (n) FROM activity
WHERE ($task IS NULL OR task = $task)
    AND ($kind IS NULL OR kind = $kind)
    AND ($id IS NULL OR id = $id)
    AND ($type IS NULL OR type = $type)
    AND ($agent IS NULL OR agent = $agent)
ORDER BY seq DESC, n DESC
LIMIT $limit OFFSET $offset;

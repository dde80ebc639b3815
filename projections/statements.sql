-- prepare: planned once, for a plan costs more than what it inserts. The facts themselves say how far they are,
-- so that an insert is a whole transaction.
PREPARE take AS INSERT INTO facts BY NAME FROM batch;

-- take: what came from the log and is not here yet.
EXECUTE take;

-- tail_kinds: which models there is something for.
SELECT list(DISTINCT kind) FROM now.tail;

-- fold: write down what the board is now, for the tasks that the tail speaks of.
MERGE INTO board USING now.board_fresh AS fresh ON board.id = fresh.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- fold_steps: the same for the steps.
MERGE INTO step_board USING now.step_fresh AS fresh ON step_board.run = fresh.run AND step_board.call = fresh.call
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- fold_runs: and for the runs.
MERGE INTO run_board USING now.run_fresh AS fresh ON run_board.run = fresh.run
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- fold_trouble: and for what went wrong.
INSERT INTO trouble BY NAME SELECT * FROM now.trouble_fresh;

-- fold_house: and for what holds for all tasks.
UPDATE position SET slots = fresh.slots, frozen = fresh.frozen FROM now.house_fresh AS fresh;

-- folded: the models are as far as the facts, in the transaction that wrote them.
UPDATE position SET board = $seq;

-- begin
BEGIN TRANSACTION;

-- commit
COMMIT;

-- rollback
ROLLBACK;

-- checkpoint
CHECKPOINT;

-- found: the files that made the tables.
SELECT schema FROM position;

-- start: an empty log has been read.
INSERT INTO position (board, schema) VALUES (0, $schema);

-- position: how far the facts are, and how far the task board is.
SELECT greatest(board, (SELECT max(seq) FROM facts)) AS facts, board FROM position;

-- moment: the time of the newest commit at or before a place.
SELECT arg_max(happened, seq) FROM facts WHERE seq BETWEEN $seq::UBIGINT - least(1000, $seq::UBIGINT) AND $seq;

-- place: the last place at or before a time.
SELECT coalesce(max(seq), 0) FROM facts WHERE happened <= $moment::TIMESTAMP;

-- see: where this connection finds the views.
SET search_path = $path;

-- upto: what the views at any place may see.
SET VARIABLE upto = $seq;

-- folded_at: from where they must look at the facts themselves.
SET VARIABLE folded = $seq;

-- columns: what a table or view holds.
SELECT column_name, data_type FROM duckdb_columns()
WHERE schema_name = 'main' AND table_name = $name
ORDER BY column_index;

-- fingerprint: all rows of a table or view in one number, whatever their order.
SELECT count(*) AS rows, coalesce(sum(hash(t)), 0)::VARCHAR AS total, coalesce(bit_xor(hash(t)), 0) AS mixed
FROM query_table($name) AS t;

-- limit_time: no question may hold a reader for ever.
SET max_execution_time = $ms;

-- limit_memory: of all questions and transactions together.
SET GLOBAL memory_limit = $size;

-- lock: nothing that is set can be set otherwise.
SET lock_configuration = true;

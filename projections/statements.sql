-- prepare: planned once, for a plan costs more than what it inserts. The facts themselves say how far they are,
-- so that an insert is a whole transaction.
PREPARE take AS INSERT INTO facts BY NAME FROM batch;

-- take: what came from the log and is not here yet.
EXECUTE take;

-- fold: write down what the board is now, for the tasks that the tail speaks of.
MERGE INTO board
USING (SELECT board_now.* FROM board_now SEMI JOIN changed ON board_now.id = changed.id) AS now
ON board.id = now.id
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- fold_steps: the same for the steps.
MERGE INTO step_board USING step_fresh AS now ON step_board.run = now.run AND step_board.call = now.call
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- fold_runs: and for the runs.
MERGE INTO run_board USING run_fresh AS now ON run_board.run = now.run
WHEN MATCHED THEN UPDATE BY NAME
WHEN NOT MATCHED THEN INSERT BY NAME;

-- folded: the board is as far as the facts, in the transaction that wrote it.
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
INSERT INTO position VALUES (0, $schema);

-- position: how far the facts are, and how far the task board is.
SELECT greatest(board, (SELECT max(seq) FROM facts)) AS facts, board FROM position;

-- board_place
SELECT board FROM position;

-- moment: the time of the newest commit at or before a place.
SELECT arg_max(happened, seq) FROM facts WHERE seq BETWEEN $seq::UBIGINT - least(1000, $seq::UBIGINT) AND $seq;

-- place: the last place at or before a time.
SELECT coalesce(max(seq), 0) FROM facts WHERE happened <= $moment::TIMESTAMP;

-- upto: what the views of this connection may see.
SET VARIABLE upto = $seq;

-- folded_at: from where the views of this connection must look at the facts themselves.
SET VARIABLE folded = $seq;

-- columns: what a table or view holds.
SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $name ORDER BY column_index;

-- fingerprint: all rows of a table or view in one number, whatever their order.
SELECT count(*) AS rows, coalesce(sum(hash(t)), 0)::VARCHAR AS total, coalesce(bit_xor(hash(t)), 0) AS mixed
FROM query_table($name) AS t;

-- limit_time: no question may hold a reader for ever.
SET max_execution_time = $ms;

-- lock: nothing that is set can be set otherwise.
SET lock_configuration = true;

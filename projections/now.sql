-- What the views see, two of three: all that is here now. A variable would have every
-- question planned twice.
CREATE SCHEMA now;
SET search_path = 'now,main';

CREATE VIEW events AS
SELECT * FROM facts;

CREATE VIEW tail AS
SELECT *, place(seq, n) AS spot FROM facts WHERE seq > (SELECT board FROM position);

CREATE VIEW board_kept AS
SELECT * FROM board;

CREATE VIEW step_kept AS
SELECT * FROM step_board;

CREATE VIEW run_kept AS
SELECT * FROM run_board;

CREATE VIEW trouble_kept AS
SELECT * FROM trouble;

CREATE VIEW house_kept AS
SELECT slots, frozen FROM position;

-- What the views see, three of three: all that is here now when the board is as far as the facts, so there is no tail.
CREATE SCHEMA still;
SET search_path = 'still,main';

CREATE VIEW events AS
SELECT * FROM facts;

CREATE VIEW board_rows AS
SELECT * FROM board;

CREATE VIEW board_now AS
SELECT * FROM board WHERE first_seq IS NOT NULL;

CREATE VIEW step_now AS
SELECT * FROM step_board;

CREATE VIEW run_now AS
SELECT * FROM run_board;

CREATE VIEW trouble_now AS
SELECT * FROM trouble;

CREATE VIEW house_now AS
SELECT coalesce(slots, 2) AS slots, coalesce(frozen, false) AS frozen FROM position;

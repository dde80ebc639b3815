-- What the views see, one of three: any place at all. `upto` is the place that is asked about, `folded` the place of
-- the task board if it is not beyond that. A reader who sets neither gets the newest answer the long way.
CREATE VIEW events AS
SELECT * FROM facts WHERE seq <= coalesce(getvariable('upto'), 18446744073709551615);

CREATE VIEW tail AS
SELECT *, place(seq, n) AS spot FROM events WHERE seq > coalesce(getvariable('folded'), 0);

CREATE VIEW board_kept AS
SELECT * FROM board WHERE coalesce(getvariable('folded'), 0) > 0;

CREATE VIEW step_kept AS
SELECT * FROM step_board WHERE coalesce(getvariable('folded'), 0) > 0;

CREATE VIEW run_kept AS
SELECT * FROM run_board WHERE coalesce(getvariable('folded'), 0) > 0;

CREATE VIEW trouble_kept AS
SELECT * FROM trouble WHERE coalesce(getvariable('folded'), 0) > 0;

CREATE VIEW house_kept AS
SELECT
    CASE WHEN coalesce(getvariable('folded'), 0) > 0 THEN slots END AS slots,
    CASE WHEN coalesce(getvariable('folded'), 0) > 0 THEN frozen END AS frozen
FROM position;

"""SQL of the user's own reads the tables of a snapshot, and nothing else however it is put."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.errors import WitanError
from projections.sandbox import Table, run_sql
from projections.store import Store
from tests.projected_histories import History


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    store = Store(tmp_path_factory.mktemp("sandbox") / "live.duckdb")
    store.take(History(9).grow(100).records)
    path, _ = store.snapshot(store.path.parent / "copies")
    store.close()
    yield path


@pytest.mark.parametrize(
    "sql",
    ["SELECT count(*) FROM tasks", "FROM events LIMIT 1", "SHOW TABLES", "DESCRIBE tasks", "EXPLAIN SELECT 1",
     "WITH a AS (SELECT 1 AS n) SELECT * FROM a", "SUMMARIZE tasks", "SELECT 1;"],
)  # fmt: skip
def test_reading_is_allowed(copy: Path, sql: str) -> None:
    assert run_sql(copy, sql).rows


def test_parameters_and_types_come_through(copy: Path) -> None:
    table = run_sql(copy, "SELECT ? AS id, created FROM tasks WHERE id = ?", ["x", "task-0"])
    assert [name for name, _ in table.columns] == ["id", "created"] and table.rows[0][0] == "x"


ATTACKS = [
    "COPY facts TO '{out}'",
    "COPY (SELECT 1) TO '{out}'",
    "WITH x AS (COPY (SELECT 1) TO '{out}') SELECT * FROM x",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    "EXPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "ATTACH ':memory:' AS other",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM '/etc/passwd'",
    "FROM glob('/*')",
    "SELECT * FROM read_parquet('http://127.0.0.1:1/x')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM order",
    "SELECT * FROM sys",
    "SELECT * FROM query('COPY (SELECT 1) TO ''{out}''')",
    "SELECT 1; SELECT 2",
    "",
    "-- nothing",
    "SET memory_limit = '100GB'",
    "RESET enable_external_access",
    "SET VARIABLE upto = 1",
    "PRAGMA enable_external_access = true",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "INSTALL httpfs",
    "LOAD httpfs",
    "DELETE FROM facts",
    "DROP TABLE facts",
    "UPDATE position SET facts = 0",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "INSERT INTO facts (seq) VALUES (1)",
    "MERGE INTO position USING position AS p ON true WHEN MATCHED THEN DELETE",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CREATE SECRET s (TYPE s3)",
    "SELECT * FROM nowhere",
    "SELEC 1",
    "SELECT getenv('PATH')",
    "\x00",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
]


@pytest.mark.parametrize("sql", ATTACKS, ids=lambda sql: sql[:40].replace("\x00", "NUL") or "empty")
def test_everything_else_is_refused_with_a_hint(copy: Path, tmp_path: Path, sql: str) -> None:
    before = copy.read_bytes()
    with pytest.raises(WitanError) as refusal:
        run_sql(copy, sql.replace("{out}", str(tmp_path / "out")))
    assert refusal.value.what_next and refusal.value.code in ("invalid", "refused")
    assert list(tmp_path.iterdir()) == [] and copy.read_bytes() == before
    assert [file.name for file in copy.parent.iterdir()] == [copy.name]


BOMBS = [
    "SELECT list(a.range) FROM range(30000) a, range(100000) b",
    "SELECT len(repeat('x', 4000000000) || repeat('y', 4000000000))",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT list_transform(range(2000000000), lambda x: x)",
    "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 3",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
]


@pytest.mark.parametrize("sql", BOMBS, ids=lambda sql: sql[:40])
def test_a_bomb_ends_itself_and_nothing_else(copy: Path, sql: str) -> None:
    with pytest.raises(WitanError) as refusal:
        run_sql(copy, sql, seconds=2)
    assert refusal.value.code in ("refused", "unavailable") and refusal.value.what_next
    assert isinstance(run_sql(copy, "SELECT 1"), Table)

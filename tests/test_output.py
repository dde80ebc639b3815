"""Tables for a terminal: a row is a line; JSON and CSV have everything."""

import json

import pytest

from cli.output import Form, print_rows

DIGEST = "ab" * 32
COLUMNS = ["text", "sha256"]
ROW = ["the first line\nthe second", DIGEST]


def test_a_table_shows_the_first_line_and_the_beginning_of_a_sha256(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [ROW, ["one line\n", "abc"]], Form.TABLE)
    said = capsys.readouterr().out
    assert "the first line…" in said and "second" not in said
    assert DIGEST[:12] in said and DIGEST[:13] not in said
    assert "one line " in said and "one line…" not in said


def test_json_and_csv_show_all_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [ROW], Form.JSON)
    assert json.loads(capsys.readouterr().out) == dict(zip(COLUMNS, ROW, strict=True))
    print_rows(COLUMNS, [ROW], Form.CSV)
    assert capsys.readouterr().out == f'text,sha256\n"{ROW[0]}",{DIGEST}\n'


def test_a_table_of_artifacts_fits_into_120_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.verbs.artifacts import SHOWN

    longest = {
        "phase": "implement", "name": "deployment_manifest.json", "type": "deployment_manifest", "bytes": 10_000,
        "playbook": "deploy_to_environment", "run": "0123456789ab", "sha256": DIGEST,
    }  # fmt: skip
    monkeypatch.setenv("COLUMNS", "120")
    print_rows(SHOWN, [[longest[name] for name in SHOWN]], Form.TABLE)
    said = capsys.readouterr().out
    assert all(len(line) <= 120 for line in said.splitlines())
    assert all(str(longest[name]) in said for name in ("name", "playbook", "run"))

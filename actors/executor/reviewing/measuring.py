"""What can be counted in a text without running it: for Python its syntax and the shape of its functions."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

LINES_MAX, FUNCTION_LINES_MAX, BRANCHES_MAX, NESTING_MAX, ARGUMENTS_MAX, LINE_MAX = 400, 50, 10, 4, 6, 120

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert, ast.match_case)
_DEEPER = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


class Issue(NamedTuple):
    """Something in a line that speaks against the file. `kind` is what the score counts it as."""

    line: int
    kind: str
    words: str


class Measured(NamedTuple):
    lines: int
    functions: int
    issues: list[Issue]
    parses: bool = True


def measured(text: str) -> Measured:
    """Sizes alone, for a text in whatever language."""
    lines = text.splitlines()
    long = [number for number, line in enumerate(lines, 1) if len(line) > LINE_MAX]
    issues = [Issue(number, "long lines", f"more than {LINE_MAX} letters") for number in long]
    if len(lines) > LINES_MAX:
        issues.append(Issue(1, "size", f"{len(lines)} lines, more than {LINES_MAX}"))
    return Measured(len(lines), 0, issues)


def measured_python(text: str) -> Measured:
    """Sizes, and what the syntax tree shows."""
    sizes = measured(text)
    try:
        tree = ast.parse(text)
        functions = [node for node in _below(tree) if isinstance(node, FunctionNode)]
        found = [issue for node in functions for issue in _of_function(node)]
        found += [
            Issue(node.lineno, "caught in silence", "catches everything and says nothing")
            for node in _below(tree)
            if isinstance(node, ast.ExceptHandler) and _is_silent(node)
        ]
    except SyntaxError as error:
        issue = Issue(error.lineno or 1, "syntax", f"is not Python: {error.msg}")
        return sizes._replace(issues=[issue, *sizes.issues], parses=False)
    except (ValueError, RecursionError, MemoryError) as error:
        issue = Issue(1, "syntax", f"cannot be parsed: {type(error).__name__}")
        return sizes._replace(issues=[issue, *sizes.issues], parses=False)
    return Measured(sizes.lines, len(functions), [*found, *sizes.issues])


def _below(node: ast.AST, *, into_functions: bool = True) -> Iterator[ast.AST]:
    """Everything below a node, without recursion: the text is anybody's."""
    ahead = list(ast.iter_child_nodes(node))
    while ahead:
        each = ahead.pop()
        yield each
        if into_functions or not isinstance(each, FunctionNode | ast.ClassDef | ast.Lambda):
            ahead += ast.iter_child_nodes(each)


def _of_function(node: FunctionNode) -> Iterator[Issue]:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > FUNCTION_LINES_MAX:
        yield Issue(node.lineno, "long functions", f"`{node.name}` has {lines} lines, more than {FUNCTION_LINES_MAX}")
    branches = branches_of(node)
    if branches > BRANCHES_MAX:
        yield Issue(node.lineno, "branches", f"`{node.name}` has a complexity of {branches}, more than {BRANCHES_MAX}")
    deep = _nesting_of(node)
    if deep > NESTING_MAX:
        yield Issue(node.lineno, "nesting", f"`{node.name}` is nested {deep} deep, more than {NESTING_MAX}")
    given = node.args
    arguments = len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs)
    if arguments > ARGUMENTS_MAX:
        words = f"`{node.name}` takes {arguments} arguments, more than {ARGUMENTS_MAX}"
        yield Issue(node.lineno, "arguments", words)


def branches_of(node: FunctionNode) -> int:
    """McCabe's number: one, and one more for each place where the way divides."""
    branches = 1
    for each in _below(node, into_functions=False):
        branches += isinstance(each, _BRANCHES)
        branches += len(each.values) - 1 if isinstance(each, ast.BoolOp) else 0
        branches += 1 + len(each.ifs) if isinstance(each, ast.comprehension) else 0
    return branches


def _nesting_of(node: FunctionNode) -> int:
    deepest = 0
    ahead: list[tuple[ast.AST, int]] = [(each, 0) for each in node.body]
    while ahead:
        each, depth = ahead.pop()
        if isinstance(each, FunctionNode | ast.ClassDef | ast.Lambda):
            continue
        deeper = depth + isinstance(each, _DEEPER)
        deepest = max(deepest, deeper)
        for name, value in ast.iter_fields(each):
            inner = value if isinstance(value, list) else [value]
            chained = name == "orelse" and isinstance(each, ast.If) and len(inner) == 1
            at = depth if chained and isinstance(inner[0], ast.If) else deeper
            ahead += [(below, at) for below in inner if isinstance(below, ast.AST)]
    return deepest


def _is_silent(node: ast.ExceptHandler) -> bool:
    broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
    return broad and all(isinstance(each, ast.Pass | ast.Continue) for each in node.body)

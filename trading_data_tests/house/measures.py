"""What the package measures as a house: `scripts/measures [FOLDER]` prints it, `test_house.py` holds some of it.

Files and functions are counted in lines of text, comments and docstrings included. A definition is a class or a function at
the top of a module. A circle is a set of modules that import each other, imports inside functions included.
"""

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "trading_data"
WORDS = ("one", "found", "said", "whole")


@dataclass(frozen=True)
class Module:
    """A module of the package, parsed once."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text)

    @property
    def wing(self) -> str:
        """The first name below the package; empty for the package itself."""
        return [*self.name.split("."), ""][1]

    @property
    def lines(self) -> int:
        """Lines of text."""
        return len(self.text.splitlines())

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Functions and methods, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def identifiers(self) -> Iterator[str]:
        """Every name that the code binds or reads, once for each place."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.arg):
                yield node.arg


def modules(root: Path) -> dict[str, Module]:
    """The modules of the package in `root`, by their dotted names."""
    names = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        names[name] = Module(name, path)
    return names


def imports(module: Module, known: dict[str, Module]) -> set[str]:
    """The modules of the package that `module` imports anywhere, inside functions too."""
    imported = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                imported.add(name if name in known else str(node.module))
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names if alias.name in known}
    return imported - {module.name}


def circles(known: dict[str, Module]) -> list[list[str]]:
    """Sets of modules that reach each other by imports (strongly connected components of two or more)."""
    graph = {name: imports(module, known) for name, module in known.items()}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph.get(todo.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def repeated_class_names(known: dict[str, Module]) -> dict[str, list[str]]:
    """Names that two or more classes of the package have, with their modules."""
    places = defaultdict(list)
    for module in known.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module.name)
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def _share(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} %"


def measures(root: Path) -> list[tuple[str, str]]:
    """Pairs of a measure's name and its value, in the order of the table."""
    known = modules(root)
    lines = sorted(module.lines for module in known.values())
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1 for module in known.values() for node in module.functions()
    )
    words = Counter(name for module in known.values() for name in module.identifiers())
    folders = [path for path in (root / PACKAGE).iterdir() if (path / "__init__.py").is_file()]
    loose = [path for path in (root / PACKAGE).glob("*.py") if path.name != "__init__.py"]
    single = [
        module
        for module in known.values()
        if sum(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in module.tree.body) <= 1
    ]
    stems = Counter(module.path.stem for module in known.values())
    tests = sorted((root / f"{PACKAGE}_tests").rglob("test_*.py"))
    own = sum(path.stem.removeprefix("test_") in stems for path in tests)
    return [
        ("files of the package", f"{len(lines)}"),
        ("lines of the package", f"{sum(lines):,}"),
        (
            "lines a file: median, p90, most",
            f"{statistics.median(lines):.0f}, {lines[len(lines) * 9 // 10]}, {lines[-1]}",
        ),
        ("folders directly under the package", f"{len(folders)}"),
        ("loose modules", f"{len(loose)}"),
        ("lines a function: median, p90", f"{statistics.median(lengths):.0f}, {lengths[len(lengths) * 9 // 10]}"),
        ("functions over 40 lines", _share(sum(length > 40 for length in lengths), len(lengths))),
        ("files with at most one definition", f"{len(single)}"),
        ("import circles", f"{len(circles(known))}"),
        *((f"uses of the name `{word}`", f"{words[word]:,}") for word in WORDS),
        ("class names of two or more classes", f"{len(repeated_class_names(known))}"),
        (
            "file names in two or more folders",
            f"{sum(count > 1 for stem, count in stems.items() if stem != '__init__')}",
        ),
        ("test modules with the name of a module", f"{own} of {len(tests)}"),
    ]


def main() -> None:
    """Print the measures of the folder that is named, or of the current one."""
    for name, value in measures(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
        print(f"{name:<42} {value}")


if __name__ == "__main__":
    main()

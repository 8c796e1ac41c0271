"""Was every symbol that was asked for really set? And if not, what was in the way?

Kconfig drops what it cannot set without a word, so a fragment that asks for a feature is no proof of it.
Reference: Documentation/kbuild/kconfig-language.rst.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.kernel.image.config import Config

_ASKED = re.compile(r"CONFIG_(?P<name>\w+)=(?P<value>.*)|# CONFIG_(?P<unset>\w+) is not set")
_ENTRY = re.compile(r"\s*(?:menu)?config\s+(\w+)\s*$")
_DEPENDS = re.compile(r"\s+depends on\s+(.*)")
_IF = re.compile(r"\s*if\s+(.*)")
_BLOCK = re.compile(r"\s*(menu|choice|endmenu|endchoice|endif|if|source|comment|mainmenu)\b")
_SYMBOL = re.compile(r"(?P<not>!?)\b(?P<name>[A-Z0-9_]*[A-Z][A-Z0-9_]*)\b(?!\s*!?=)")
_PROMPT = re.compile(r"\s+(?:bool|tristate|int|hex|string|prompt)\s+[\"']")


def asked(text: str) -> dict[str, str]:
    """The symbols of fragments, without CONFIG_; the last line counts; ``n`` for what shall not be set."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _ASKED.fullmatch(line.strip())
        if match is not None:
            found[match["name"] or match["unset"]] = match["value"].strip('"') if match["name"] else "n"
    return found


def dropped(wanted: Mapping[str, str], config: Config) -> dict[str, str]:
    """The symbols that have not the wanted value, each with the value it has."""
    return {name: config.get(name) for name, value in wanted.items() if config.get(name) != value}


@dataclass(frozen=True)
class Definition:
    """One ``config`` entry: where it stands, and everything it depends on, of the blocks around it too."""

    place: str
    depends: tuple[str, ...]
    has_prompt: bool


def explain(symbol: str, source: Path, config: Config) -> str:
    """What keeps a symbol from being set, as far as a simple reading of the Kconfig files tells.

    Only the entries themselves and the blocks of the same file around them are read; not what sources the file.
    """
    found = list(definitions(symbol, source))
    if not found:
        return "there is no such symbol in this source"
    reasons = []
    for definition in found:
        missing = dict.fromkeys(name for text in definition.depends for name in _unmet(text, config))
        if missing:
            texts = [f"({text})" if "||" in text and "&&" not in text else text for text in definition.depends]
            depends = " && ".join(dict.fromkeys(texts))
            lacks = ", ".join(f"{name}={config.get(name)}" for name in missing)
            reasons.append(f"{definition.place}: depends on {depends}, and {lacks}")
        elif not definition.has_prompt:
            reasons.append(f"{definition.place}: it has no prompt, so it only follows from other symbols")
    place = ", ".join(definition.place for definition in found)
    return (
        "; or ".join(reasons) or f"{place}: its own dependencies are met; look at what includes that file, or a choice"
    )


def definitions(symbol: str, source: Path) -> Iterator[Definition]:
    """Every place that defines a symbol."""
    for path in _kconfig_files(source):
        text = path.read_text(encoding="utf-8", errors="replace")
        if f"config {symbol}\n" in text.replace("\t", " "):
            yield from _read(symbol, text, str(path.relative_to(source)))


def _kconfig_files(source: Path) -> Iterator[Path]:
    for directory, below, names in os.walk(source):
        at = os.path.relpath(directory, source)
        if at == "arch":
            below[:] = [name for name in below if name == "x86"]
        below[:] = sorted(name for name in below if name not in {".git", "Documentation", "tools"})
        for name in sorted(names):
            if name.startswith("Kconfig"):
                yield Path(directory, name)


def _read(symbol: str, text: str, file: str) -> Iterator[Definition]:
    blocks: list[list[str]] = []
    """What each open `if`, `menu` or `choice` depends on."""
    entry: str | None = None
    line_found, depends, has_prompt = 0, list[str](), False
    for number, line in [*_logical_lines(text), (0, "endofentry")]:
        begins = _ENTRY.match(line)
        block = _BLOCK.match(line) if not line.startswith(("\t", "  ")) or begins else None
        if (begins or block or line == "endofentry") and entry == symbol:
            around = [item for items in blocks for item in items]
            yield Definition(f"{file}:{line_found}", (*around, *depends), has_prompt)
        if begins or block:
            entry, line_found, depends, has_prompt = (begins[1] if begins else None), number, [], False
        if block:
            _enter(block[1], line, blocks)
            continue
        match = _DEPENDS.match(line)
        if match is None:
            has_prompt = has_prompt or _PROMPT.match(line) is not None
        elif entry is not None:
            depends.append(match[1].strip())
        elif blocks:
            blocks[-1].append(match[1].strip())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with those joined that end in a backslash, each with the number of its first."""
    first, held = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield first, held + line
        first, held = number + 1, ""


def _enter(word: str, line: str, blocks: list[list[str]]) -> None:
    if word in {"menu", "choice"}:
        blocks.append([])
    elif word == "if":
        match = _IF.match(line)
        blocks.append([match[1].strip()] if match else [])
    elif word.startswith("end") and blocks:
        blocks.pop()


def _unmet(expression: str, config: Config) -> Iterable[str]:
    """The symbols of an expression that stand against it; none when it holds, read in a simple way."""
    for conjunct in _conjuncts(expression):
        symbols = [(match["name"], bool(match["not"])) for match in _SYMBOL.finditer(conjunct)]
        against = [name for name, negated in symbols if (config.get(name) == "n") != negated]
        if symbols and len(against) == len(symbols):
            yield from against


def _conjuncts(expression: str) -> Iterator[str]:
    """The parts between ``&&`` that are not inside parentheses."""
    depth, start = 0, 0
    plain = re.sub(r"\s+#.*", "", expression)
    for index, char in enumerate(plain):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and plain.startswith("&&", index):
            yield plain[start:index]
            start = index + 2
    yield plain[start:]

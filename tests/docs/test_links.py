"""Pages for people: every link leads somewhere, every file they name is there, sources are cited in one form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").glob("*.md"))
)
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)|^\[[^\]]+\]: (?P<named>\S+)", re.M)
NAMED = re.compile(
    r"(?<![\w./-])(?:harness|tests|scenarios|kernels|docs|setup|benchmarks)/[\w./+-]*(?:\.[a-z]+|/)(?![\w*{/-])"
)
"""A path in text that names one file or directory: no glob, no placeholder in capitals."""
EXAMPLES = {
    *("kernels/fragments/mine.config", "kernels/mine.config", "kernels/mine.yaml"),
    *("scenarios/placement/mine.map", "scenarios/esrt/two-entries.yaml"),
}
"""What the reader is told to write."""
PLACEHOLDER = re.compile(r"\b(?:NAME|SUBJECT|FILE|DIR|RUN)\b")
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
OLD_FORMS = re.compile(r"\b(?:UEFI|ACPI|PI) (?:spec\w*,? \d|\d\.\d+, (?:section|chapter)s?\b)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchor(title: str) -> str:
    """What a heading can be linked by, as forges make it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


@cache
def anchors(path: Path) -> frozenset[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    return frozenset(anchor(title) for title in re.findall(r"^#{1,6} +(.+?) *$", text, re.M))


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for found in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        target = found["target"] or found["named"]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, place = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (place and path.suffix == ".md" and place not in anchors(path)):
            yield target


def absent(text: str) -> list[str]:
    """The files and directories that a text names and that are not there."""
    names = (found[0].rstrip(".") for found in NAMED.finditer(text) if not PLACEHOLDER.search(found[0]))
    return [name for name in names if name not in EXAMPLES and not (ROOT / name).exists()]


def test_there_are_pages() -> None:
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/adding.md",
        "docs/decisions/0001-own-kexec-file-load.md",
    } <= {*PAGES}


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_broken(page: str) -> None:
    assert list(broken(ROOT / page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page: str) -> None:
    assert absent(text_of(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_sources_are_cited_in_one_form(page: str) -> None:
    text = text_of(page)
    assert OLD_FORMS.findall(text) == []


def test_sources_are_cited_in_one_form_in_the_code() -> None:
    files = [path for kind in ("py", "sh", "c", "h") for path in (ROOT / "harness").rglob(f"*.{kind}")]
    found = {path.relative_to(ROOT).as_posix(): OLD_FORMS.findall(path.read_text(encoding="utf-8")) for path in files}
    assert {name: forms for name, forms in found.items() if forms} == {}


def test_what_is_broken_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`: three\n[a](page.md#one-two-three) [b](#one-two-three) [c](https://example.org/x#y)\n"
        "[d](gone.md) [e](page.md#gone) [f](#gone)\n```\n[g](in-code.md)\n```\n"
    )
    assert list(broken(page)) == ["gone.md", "page.md#gone", "#gone"]
    assert absent("see harness/errors.py, `harness/gone.py`, tests/gone/ and scenarios/esrt/ and docs/NAME.md") == [
        "harness/gone.py",
        "tests/gone/",
    ]
    cited = "UEFI spec 2.10; UEFI 2.10, section 4; UEFI 2.10, 4.6; the UEFI spec says"
    assert OLD_FORMS.findall(cited) == ["UEFI spec 2", "UEFI 2.10, section"]


def test_every_decision_has_a_number_of_its_own_and_a_state() -> None:
    pages = [page for page in PAGES if page.startswith("docs/decisions/")]
    numbers = [int(Path(page).name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for page in pages:
        first, state = text_of(page).splitlines()[0:3:2]
        assert first.startswith(f"# {Path(page).name[:4]}: ")
        assert re.match(r"Accepted, \d{4}-\d\d-\d\d", state), page

"""Which packages make up the kernel that an entry means. Pure: package lists in, a choice out."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ABI = r"\d[\w.+~]*(?:-\d[\w.+~]*)*"
"""``6.1.0-56``, ``6.12.117+deb13``: no part begins with a letter, so ``cloud`` or ``rt`` is never taken for one."""


@dataclass(frozen=True)
class Package:
    """One package of one suite, from apt's package list."""

    name: str
    version: str
    suite: str
    sha256: str
    size_bytes: int
    depends: str = ""


@dataclass(frozen=True)
class Bundle:
    """The packages of one kernel, the one with the image first."""

    packages: tuple[Package, ...]
    signed: bool

    @property
    def version(self) -> str:
        return self.packages[0].version

    @property
    def size_bytes(self) -> int:
        return sum(package.size_bytes for package in self.packages)


def parse_show(text: str, suite: str) -> Iterator[Package]:
    """The stanzas that ``apt-cache show`` prints."""
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"[A-Za-z0-9-]+: ", line))
        if {"Package", "Version", "SHA256", "Size"} <= fields.keys():
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                suite=suite,
                sha256=fields["SHA256"],
                size_bytes=int(fields["Size"]),
                depends=fields.get("Depends", ""),
            )


def bundles(packages: Iterable[Package], series: str, flavour: str) -> list[Bundle]:
    """Every kernel of the series and flavour, newest first.

    Of one version the signed image comes before the unsigned one, because it is what machines boot; between suites
    the order of ``packages`` decides.
    """
    known = list(packages)
    found = [bundle for package in known if (bundle := _bundle(package, known, series, flavour))]
    found.sort(key=lambda bundle: bundle.signed, reverse=True)
    return sorted(found, key=lambda bundle: version_key(bundle.version), reverse=True)


def _bundle(package: Package, known: list[Package], series: str, flavour: str) -> Bundle | None:
    if not re.match(rf"{re.escape(series)}(?![\d])", package.version):
        return None
    whole = re.fullmatch(rf"linux-image-{_ABI}-{re.escape(flavour)}(?P<unsigned>-unsigned)?", package.name)
    if whole is not None:
        # linux-image-6.12-amd64 and, from Linux 7.0 packages on, every linux-image-* hold nothing but dependencies
        is_meta = re.search(r"\blinux-(?:image|binary)-", package.depends) is not None
        return None if is_meta else Bundle((package,), signed=not whole["unsigned"])
    split = re.fullmatch(rf"linux-binary-(?P<unsigned>unsigned-)?(?P<kernel>{_ABI}-{re.escape(flavour)})", package.name)
    if split is None:
        return None
    parts = [package]
    for part in ("base", "modules"):
        name = f"linux-{part}-{split['kernel']}"
        same = [item for item in known if (item.name, item.version) == (name, package.version)]
        same.sort(key=lambda item: item.suite != package.suite)
        parts += same[:1]
    return Bundle(tuple(parts), signed=not split["unsigned"]) if len(parts) == 3 else None


@functools.total_ordering
class _Version:
    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Version) and compare_versions(self.text, other.text) == 0

    def __lt__(self, other: _Version) -> bool:
        return compare_versions(self.text, other.text) < 0

    def __hash__(self) -> int:
        return hash(self.text)


version_key = _Version
"""Sort key for Debian versions."""


def compare_versions(left: str, right: str) -> int:
    """Negative, zero or positive as ``left`` is older than, equal to or newer than ``right``.

    Debian Policy 5.6.12: epoch, upstream version, revision; ``~`` sorts before everything, even the end.
    """
    left_parts, right_parts = _split(left), _split(right)
    if left_parts[0] != right_parts[0]:
        return left_parts[0] - right_parts[0]
    return _compare_part(left_parts[1], right_parts[1]) or _compare_part(left_parts[2], right_parts[2])


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return int(epoch) if epoch.isdigit() else 0, *((upstream, revision) if dash else (rest, ""))


def _compare_part(left: str, right: str) -> int:
    for a, b in zip(_chunks(left), _chunks(right), strict=False):
        if a != b:
            return -1 if a < b else 1
    return 0


def _chunks(text: str) -> Iterator[tuple[tuple[int, ...], int]]:
    """Pairs of a non-digit run, as ordered numbers, and the number after it; ends in pairs that stand for nothing."""
    for letters, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
        yield (*map(_order, letters), 0), int(digits or "0")
    yield (0,), 0
    yield (0,), 0


def _order(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256

"""The Debian archive this machine uses, read from apt's own configuration; see sources.list(5). Pure.

No archive's address is known here: what the administrator chose (a mirror, a cache, an internal host) is used for
other suites too, with the same keyrings.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>(?:\s+\S+)*)")
_FIELD = re.compile(r"(?P<name>[A-Za-z0-9-]+):\s*(?P<value>.*)")
_CLASSES = frozenset(("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid", "experimental"))
_CODENAMES = frozenset(("bullseye", "bookworm", "trixie", "forky", "duke"))


@dataclass(frozen=True)
class Source:
    """One suite of one archive."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    """Keyring files, fingerprints or an embedded key; empty for the keys the machine trusts in general."""


def parse_list(text: str) -> list[Source]:
    """The ``deb`` lines of a ``*.list`` file. ``trusted=`` and the like are dropped: signatures are always checked."""
    sources = []
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.split("#", 1)[0].strip())
        if match is None or match["uri"].startswith("cdrom:"):
            continue
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        components = tuple(match["components"].split())
        sources.append(Source(match["uri"], match["suite"], components, options.get("signed-by", "")))
    return sources


def parse_deb822(text: str) -> list[Source]:
    """The stanzas of a ``*.sources`` file that are of type ``deb`` and enabled."""
    sources = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", kept):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        components = tuple(fields.get("components", "").split())
        sources += [
            Source(uri, suite, components, fields.get("signed-by", ""))
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
            if not uri.startswith("cdrom:")
        ]
    return sources


def _fields(stanza: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        match = _FIELD.fullmatch(line)
        if match is not None:
            name = match["name"].lower()
            fields[name] = match["value"].strip()
        elif name and line[:1].isspace():
            fields[name] = f"{fields[name]}\n{line.strip()}".strip()
    return fields


def for_suite(sources: Iterable[Source], suite: str, codename: str = "") -> tuple[Source, ...]:
    """Where ``suite`` may be found, most likely first, judged by the machine's own entries.

    Security suites come from the machine's security archive, the others from its main archive. A third party's
    archive may use a Debian suite name too, so entries are ranked: Debian's keyring, no key named, any other key.
    ``codename`` is the machine's own release (VERSION_CODENAME), for releases that are newer than this list.
    """
    found = {
        replace(source, suite=suite, components=("main",)): _rank(source)
        for source in sources
        if "main" in source.components
        and _base(source.suite) in _CLASSES | _CODENAMES | {codename}
        and _is_security(source.suite) == _is_security(suite)
    }
    return tuple(sorted(found, key=found.__getitem__))


def _rank(source: Source) -> int:
    if "debian-archive" in source.signed_by:
        return 0
    return 1 if not source.signed_by else 2


def _is_security(suite: str) -> bool:
    return suite.endswith(("-security", "/updates"))


def _base(suite: str) -> str:
    return re.sub(r"(?:-(?:security|updates|backports|proposed-updates)|/updates)$", "", suite)


def render(source: Source, architecture: str = "amd64") -> str:
    """The entry as a deb822 stanza."""
    lines = [
        "Types: deb",
        f"URIs: {source.uri}",
        f"Suites: {source.suite}",
        f"Components: {' '.join(source.components)}",
        f"Architectures: {architecture}",
        "Targets: Packages",  # no Contents, AppStream or the like, whatever the machine's programs added
    ]
    if "\n" in source.signed_by:
        # apt wants continuation lines to begin with a space; an empty line of an embedded key is written as " ."
        lines.append("Signed-By:\n" + textwrap.indent(source.signed_by, " ", lambda _: True))
    elif source.signed_by:
        lines.append(f"Signed-By: {source.signed_by}")
    return "\n".join(lines) + "\n"

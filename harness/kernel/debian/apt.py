"""Fetching packages with apt, from suites this machine does not use, without touching its own apt state.

Each suite has a private root in the cache: own package lists, own source, own caches. apt itself checks signatures
(of the suite) and hashes (of each package), with the keyrings the machine's own sources name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache
from harness.errors import HostError
from harness.kernel.debian import packages, sources
from harness.kernel.debian.packages import Package
from harness.kernel.debian.sources import Source

Progress = Callable[[str], None]

_CONF = """\
// Written by harness; read after the machine's own configuration, so proxies and the like stay as they are.
Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
// 100 MB a suite, to save half a second
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{root}/harness.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Architectures {{ "amd64"; }};
APT::Default-Release "";
// hooks are for the machine's own lists
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
// the user _apt cannot write below a home directory; the signature is checked either way
APT::Sandbox::User "{user}";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::PDiffs "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// never without a signature, whatever the machine says
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
"""


_PREFIXES = ("linux-image-", "linux-binary-", "linux-base-", "linux-modules-")


class SuiteMissing(HostError):
    """The archive has no such suite (any more)."""


@dataclass(frozen=True)
class Machine:
    """What this machine's apt is set up for."""

    sources: tuple[Source, ...]
    codename: str

    @classmethod
    def read(cls, etc: Path = Path("/etc")) -> Machine:
        """From sources.list, sources.list.d and os-release below ``etc``."""
        parts = sorted((etc / "apt/sources.list.d").glob("*")) if (etc / "apt/sources.list.d").is_dir() else []
        found: list[Source] = []
        for path in [etc / "apt/sources.list", *parts]:
            parse = {".list": sources.parse_list, ".sources": sources.parse_deb822}.get(path.suffix)
            if parse is not None and path.is_file():
                found += parse(path.read_text(encoding="utf-8", errors="replace"))
        release = etc / "os-release"
        text = release.read_text(encoding="utf-8", errors="replace") if release.is_file() else ""
        is_debian = re.search(r'^ID="?debian"?$', text, re.MULTILINE) is not None
        match = re.search(r'^VERSION_CODENAME="?(\w+)"?$', text, re.MULTILINE)
        return cls(tuple(found), match[1] if match and is_debian else "")


class Suite:
    """One suite, with its private root."""

    def __init__(self, name: str, candidates: Sequence[Source], cache: Cache) -> None:
        self.name = name
        self._candidates = tuple(candidates)
        self._cache = cache
        self._root = cache.root / "apt" / name.replace("/", "_")

    def update(self) -> None:
        """Bring the package lists up to date: 0.2 to 1.6 s and up to 23 MB on disk (a whole Debian release).

        Raises:
            SuiteMissing: no archive of this machine has the suite.
            HostError: no apt, no network, or a signature that cannot be checked.
        """
        missing: SuiteMissing | None = None
        for source in self._candidates:
            try:
                with self._cache.explained():
                    self._write(source)
                self._run("apt-get", "update")
            except SuiteMissing as error:
                missing = error
                continue
            return
        raise missing or SuiteMissing(
            f"this machine's apt has no Debian archive for {self.name}",
            hint="add Debian's archive (and its security archive) to /etc/apt/sources.list.d, or give a .deb by path",
        )

    def kernels(self) -> list[Package]:
        """Every package of the suite whose name is that of a kernel, its configuration or its modules."""
        names = [
            name
            for name in self._run("apt-cache", "pkgnames", "linux-").split()
            if name.startswith(_PREFIXES) and not name.endswith(("-dbg", "-template"))
        ]
        if not names:
            return []
        return list(packages.parse_show(self._run("apt-cache", "show", *sorted(names)), self.name))

    def versions(self, name: str) -> list[Package]:
        """Every version of one package; none when the suite has no such package."""
        if name not in self._run("apt-cache", "pkgnames", name).split():
            return []
        shown = packages.parse_show(self._run("apt-cache", "show", name), self.name)
        return [package for package in shown if package.name == name]

    def download(self, package: Package, directory: Path) -> Path:
        """Download one package into ``directory``, which is empty.

        Raises:
            HostError: it cannot be had, or is not what the signed list says.
        """
        self._run("apt-get", "download", f"{package.name}={package.version}", cwd=directory)
        found = list(directory.glob("*.deb"))
        if len(found) != 1:
            raise HostError(f"apt-get download of {package.name} left {len(found)} files, not one")
        return found[0]

    def _write(self, source: Source) -> None:
        for name in ("lists/partial", "cache/archives/partial"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        (self._root / "harness.sources").write_text(sources.render(source), encoding="utf-8")
        user = "root" if os.geteuid() == 0 else "_apt"
        (self._root / "apt.conf").write_text(_CONF.format(root=self._root, user=user), encoding="utf-8")

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        if shutil.which(program) is None:
            raise HostError(
                f"{program} is not installed, so no kernel can be fetched",
                hint="fetch kernels on a Debian machine, or give a .deb or a bzImage by path",
            )
        argv = [program, "-q", "-c", str(self._root / "apt.conf"), *arguments]
        environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise _explain(self.name, program, done.stdout + done.stderr)
        return done.stdout


_CAUSES: tuple[tuple[str, str, str], ...] = (
    (r"No space left on device", "the disk of the cache is full", "free some space, or set HARNESS_CACHE"),
    (
        r"Could not resolve|Temporary failure|Could not connect|Network is unreachable|timed out|Cannot initiate",
        "the archive cannot be reached",
        "check the network (and apt's proxy setting); kernels that were fetched before work without it",
    ),
    (
        r"NO_PUBKEY|Missing key|signatures were invalid|GPG error|is not signed",
        "its signature cannot be checked",
        "apt-get install --only-upgrade debian-archive-keyring brings the keys of newer releases",
    ),
    (r"is not valid yet|Release file .* expired", "its Release file is out of date", "check the clock of this machine"),
    (r"Hash Sum mismatch|unexpected size", "the archive is being changed right now", "try again in a few minutes"),
)


def _explain(suite: str, program: str, output: str) -> HostError:
    for pattern, message, hint in _CAUSES:
        line = next((line.strip() for line in output.splitlines() if re.search(pattern, line)), None)
        if line is not None:
            return HostError(f"{suite}: {message} ({line})", hint=hint)
    if re.search(r"does not have a Release file|\b404\b", output):
        return SuiteMissing(f"the archive has no suite {suite}", hint="name another suite in the kernel's entry")
    return HostError(f"{suite}: {program} failed: {_first_error(output)}")


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"E:|W:|Err:", line)]
    return (errors or lines or ["no message"])[0]

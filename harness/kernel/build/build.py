"""Builds a kernel from source, once: the result lies in the cache whole or not at all, and a stopped build goes on.

Two places: the work directory (``kernel-work/``: source copy, objects, log), shared by a kernel and its twins, and the
entry (``kernels-built/``), named by source, recipe and compiler.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.cache import Cache
from harness.errors import HostError, InputError
from harness.kernel.build import kconfig, toolchain, trees, worktree
from harness.kernel.build.make import Maker, Progress
from harness.kernel.build.recipe import Recipe
from harness.kernel.build.trees import Tree
from harness.kernel.image import config as configs
from harness.kernel.image import images
from harness.model.base import Value

BUILT = "kernels-built"
WORK = "kernel-work"
LOG = "build.log"
NEED_BYTES = 2**30
"""Room for the objects of a small kernel (160 MB), its result (25 MB) and what the compiler writes meanwhile."""
_ABOUT = "build.json"


class About(Value):
    """What was built, kept beside it."""

    source: str
    fragments: tuple[str, ...]
    patches: tuple[str, ...]
    base: str
    compiler: str
    seconds: float
    """How long this build took; little when most of it was there already."""
    compiled: int
    at: str
    """When, ISO 8601 in UTC."""

    @property
    def text(self) -> str:
        """In one line."""
        made = ", ".join([self.base, *self.fragments])
        patched = f" with {', '.join(self.patches)}" if self.patches else ""
        return f"{self.source}{patched}; {made}; {self.compiler}"


@dataclass(frozen=True)
class _Job:
    recipe: Recipe
    tree: Tree
    work: Path
    maker: Maker

    @property
    def out(self) -> Path:
        return self.work / "out"

    def make(self, phase: str, *targets: str) -> int:
        source = self.work / "src"
        argv = ["make", f"-j{toolchain.cores()}", "-C", str(source), f"O={self.out}", *targets]
        return self.maker.run(phase, argv, self.work)


def entry_key(recipe: Recipe, tree: Tree, compiler: str) -> str:
    """The name of the finished entry."""
    told = "\n".join([tree.key, recipe.digest, compiler])
    return f"{recipe.name}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def work_directory(recipe: Recipe, tree: Tree, cache: Cache) -> Path:
    """Where it is built: the same for a kernel and its twins, and for each state of a user's directory.

    No ``+`` and the like in it, which scripts of the kernel might take for something else.
    """
    digest = hashlib.sha256(f"{tree.place}\n{tree.key if tree.files is None else ''}\n{recipe.family}".encode())
    title = re.sub(r"[^A-Za-z0-9.]+", "-", Path(tree.place).name).strip("-.") or "source"
    return cache.root / WORK / f"{title}-{recipe.family}-{digest.hexdigest()[:8]}"


def build(recipe: Recipe, tree: Tree, cache: Cache, progress: Progress, interval_s: float = 10.0) -> Path:
    """The finished entry, built unless it is there: ``vmlinuz``, ``config``, ``vmlinux``, ``System.map``, modules.

    Raises:
        InputError: a patch does not apply, a symbol cannot be set, or the source is none.
        BuildError: make failed.
        HostError: compiler, program, header or space is missing.
    """
    toolchain.need_tools()
    compiler = toolchain.compiler()
    key = entry_key(recipe, tree, compiler)
    found = finished(key, cache)
    if found is not None:
        return found
    work = work_directory(recipe, tree, cache)
    if re.search(r"[\s:]", str(work)):
        raise HostError(
            f"no kernel can be built in {work}: kbuild takes no path with a blank or a colon",
            hint="set HARNESS_CACHE to another directory",
        )
    waiting = f"{recipe.name}: waiting for another harness that builds in {work.name}"
    with cache.lock(f"build.{work.name}", waiting=lambda: progress(waiting)):
        found = finished(key, cache)
        if found is not None:
            return found
        trees.need_space(cache, NEED_BYTES, "build a kernel")
        with cache.explained():
            (work / "out").mkdir(parents=True, exist_ok=True)
            (work / LOG).write_text(f"{recipe.name}: {tree.title}\n", encoding="utf-8")
        maker = Maker(recipe.name, work / LOG, toolchain.environment(cache.root, work), progress, interval_s)
        with cache.explained():
            _build(_Job(recipe, tree, work, maker), key, cache, compiler)
    return cache.root / BUILT / key


def finished(key: str, cache: Cache) -> Path | None:
    """An entry that is there and whole."""
    found = cache.find(BUILT, key)
    return found if found is not None and images.intact(found) else None


def about(directory: Path) -> About:
    """What is known of an entry."""
    return About.model_validate_json((directory / _ABOUT).read_text(encoding="utf-8"))


def _build(job: _Job, key: str, cache: Cache, compiler: str) -> None:
    began_s = clock.now_s()
    worktree.prepare(job.tree, job.recipe.patches, job.work)
    _configure(job)
    has_modules = _config(job).get("MODULES") == "y"
    compiled = job.make("compiling", "bzImage", *(["modules"] if has_modules else []))
    with cache.building(BUILT, key) as directory:
        for place, name in _RESULTS.items():
            shutil.copy(job.out / place, directory / name)
        if has_modules:
            _install_modules(job, directory)
        told = About(
            source=job.tree.title,
            fragments=tuple(part.name for part in job.recipe.fragments),
            patches=tuple(part.name for part in job.recipe.patches),
            base=job.recipe.base,
            compiler=compiler,
            seconds=round(clock.now_s() - began_s, 1),
            compiled=compiled,
            at=clock.utc().isoformat(timespec="seconds"),
        )
        (directory / _ABOUT).write_text(told.model_dump_json(indent=1), encoding="utf-8")
        images.seal(directory)
    job.maker.progress(
        f"{job.recipe.name}: built in {told.seconds:.0f} s, {compiled} files compiled; "
        f"{_size(cache.root / BUILT / key)} kept, {_size(job.out)} of objects in {job.work}"
    )


_RESULTS = {"arch/x86/boot/bzImage": "vmlinuz", ".config": "config", "vmlinux": "vmlinux", "System.map": "System.map"}


def _install_modules(job: _Job, directory: Path) -> None:
    job.make("installing modules", f"INSTALL_MOD_PATH={directory}", "INSTALL_MOD_STRIP=1", "modules_install")
    for link in directory.glob("lib/modules/*/*"):
        if link.is_symlink():  # `build` and `source` lead into the work directory
            link.unlink()


def _configure(job: _Job) -> None:
    """The base, the fragments on top, and a check that every symbol is as it was asked for."""
    stamp = job.work / "configured"
    wanted = f"{job.tree.key} {job.recipe.digest}"
    if stamp.is_file() and stamp.read_text() == wanted and (job.out / ".config").is_file():
        return
    stamp.unlink(missing_ok=True)
    recipe, asked = job.recipe, job.work / "asked.config"
    asked.write_text(recipe.asked, encoding="utf-8", errors="surrogateescape")
    if recipe.base == "file":
        (job.out / ".config").write_text(recipe.base_text, encoding="utf-8", errors="surrogateescape")
    else:
        job.make("configuring", recipe.base)
    merge = [str(job.work / "src/scripts/kconfig/merge_config.sh"), "-m", "-O", str(job.out)]
    job.maker.run("merging fragments", ["sh", *merge, str(job.out / ".config"), str(asked)], job.out)
    job.make("configuring", "olddefconfig")
    _check(job)
    stamp.write_text(wanted)


def _config(job: _Job) -> configs.Config:
    text = (job.out / ".config").read_text(encoding="utf-8", errors="replace")
    return configs.parse(text, "its .config") or configs.Config()


def _check(job: _Job) -> None:
    config, source = _config(job), job.work / "src"
    lost = kconfig.dropped(kconfig.asked(job.recipe.asked), config)
    if not lost:
        return
    wanted = kconfig.asked(job.recipe.asked)
    reasons = [
        f"CONFIG_{name}={wanted[name]} was asked for by {_asker(job.recipe, name)} and is "
        f"{'not set' if seen == 'n' else seen}: {kconfig.explain(name, source, config)}"
        for name, seen in lost.items()
    ]
    raise InputError(
        f"{job.recipe.name}: " + "\n  ".join(reasons),
        hint="add what is missing to a fragment, or leave the symbol out; the configuration that came of it is "
        f"{job.out / '.config'}",
    )


def _asker(recipe: Recipe, symbol: str) -> str:
    for part in reversed(recipe.fragments):
        if symbol in kconfig.asked(part.text):
            return str(part.path)
    return "localversion"


def _size(directory: Path) -> str:
    files: Iterable[Path] = (Path(at, name) for at, _, names in os.walk(directory) for name in names)
    return f"{sum(path.lstat().st_size for path in files) / 2**20:.0f} MiB"

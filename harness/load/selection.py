"""Which variants a command line means.

A pattern is a scenario id (``esrt/kexec-file``), an id with a variant (``esrt/kexec-file[debian-6.1-cloud,ovmf-x64]``),
either of them with ``*`` and ``?`` (``*`` also spans ``/``; brackets stand for themselves), or the path of a file or
folder. An id wins over a path of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import InputError
from harness.load.overrides import Overrides
from harness.load.reading.words import did_you_mean
from harness.load.scenarios import Files, Variant, find_files
from harness.model.globs import any_glob, glob_matches

ON_REQUEST = (
    "survey/*",
    "tables/*",
    "fake-mem/*",
    "pagetable/both-views",
    "kdump/fake-mem",
    "kdump/lkdtm",
    "kdump/small-crashkernel",
    "placement/kaslr-seeds",
    "placement/low-hole",
    "runtime/fault-get-time",
    "runtime/fault-matrix",
    "runtime/fault-uncovered",
    "runtime/get-time",
    "runtime/wedged",
    "xen/*",
)
"""Run only when they are named: scenarios that gather facts and judge nothing new, those of every table and call on
every kernel, and scenarios for kernels that must be built first (10 minutes) and guests that many a host cannot hold.
kdump/small-crashkernel never passes; placement/kaslr-seeds are twenty boots; of the runtime ones two need a built
kernel, the others take long or end in machines that hang; those on Xen need a hypervisor, which is fetched first, and a
minute or two each."""


def runs_by_default(variant: Variant) -> bool:
    """Is this run when no pattern is given?"""
    return any_glob(*ON_REQUEST).fullmatch(variant.scenario.id) is None


def select(variants: Sequence[Variant], patterns: Sequence[str]) -> tuple[Variant, ...]:
    """The variants that any pattern means, each once, in the order of ``variants``; without patterns the default ones.

    Raises:
        InputError: a pattern matches nothing, with a did-you-mean.
    """
    if not patterns:
        return tuple(variant for variant in variants if runs_by_default(variant))
    wanted: set[str] = set()
    for pattern in patterns:
        found = [variant.id for variant in variants if _matches_id(pattern, variant)]
        found = found or [variant.id for variant in variants if _is_file_of(pattern, variant)]
        if not found:
            raise _no_match(pattern, variants)
        wanted.update(found)
    return tuple(variant for variant in variants if variant.id in wanted)


def load_selection(
    root: Path,
    patterns: Sequence[str] = (),
    overrides: Overrides = Overrides(),  # noqa: B008  frozen
) -> tuple[Variant, ...]:
    """Load what the patterns mean: ids are looked up in every file below ``root``, paths are taken as they are.

    The overrides change only the files that are selected. A pattern with a variant in brackets speaks of the variants
    after the override.

    Raises:
        ScenarioErrors: every mistake of every file that was looked at.
        InputError: a pattern matches nothing, a folder cannot be read, or an override cannot be applied.
    """
    paths = tuple(pattern for pattern in patterns if _is_path(pattern))
    files = [file for path in paths for file in find_files(Path(path))]
    if len(paths) < len(patterns) or not patterns:
        files += find_files(root)
    if not files:
        raise InputError(f"{', '.join(patterns) or root}: there is no scenario file (*.yaml)")
    read = Files.read(_each_once(files))
    written = read.variants()
    chosen = select(written, [pattern.partition("[")[0] for pattern in patterns])
    selected = {variant.file for variant in chosen}
    changed = tuple(variant for variant in written if variant.file in selected)
    if overrides != Overrides():
        changed = read.only(selected).variants(overrides)
    return select(changed, patterns) if patterns else changed


def _each_once(files: Iterable[Path]) -> list[Path]:
    return list({file.resolve(): file for file in files}.values())


def _is_path(pattern: str) -> bool:
    # An id has a slash too; a folder of that name beside the working directory must not hide it.
    return pattern.endswith((".yaml", ".yml")) or pattern.startswith(("/", "./", "../")) or Path(pattern).is_dir()


def _matches_id(pattern: str, variant: Variant) -> bool:
    return glob_matches(pattern, variant.id if "[" in pattern else variant.scenario.id)


def _is_file_of(pattern: str, variant: Variant) -> bool:
    path, file = Path(pattern).absolute(), Path(variant.file).absolute()
    return path == file or path in file.parents or path.resolve() in (file.resolve(), *file.resolve().parents)


def _no_match(pattern: str, variants: Sequence[Variant]) -> InputError:
    names = sorted({variant.scenario.id for variant in variants})
    if any(name.startswith(f"{pattern.rstrip('/')}/") for name in names):
        return InputError(f"'{pattern}' is no scenario", hint=f"for all of them write '{pattern.rstrip('/')}/*'")
    scenario, bracket, _ = pattern.partition("[")
    if bracket and scenario in names:
        labels = [variant.id for variant in variants if variant.scenario.id == scenario]
        return InputError(f"'{pattern}' is no variant; there are {', '.join(labels)}{did_you_mean(pattern, labels)}")
    message = f"'{pattern}' matches no scenario{did_you_mean(scenario, names)}"
    return InputError(message, hint="'harness list' shows the ids; a path of a file or folder is possible too")

"""One addition of each kind, as docs/adding.md says how to make it: what is new, and what is changed in which file."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import harness

PACKAGE = Path(harness.__file__).parent
Change = tuple[str, str, str]
"""A file, a text that stands in it once, and what stands there afterwards; ``{0}`` is the text."""


@dataclass(frozen=True)
class Addition:
    """Paths begin at ``harness/``."""

    new: dict[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()

    @property
    def files(self) -> set[str]:
        """The source files that it touches."""
        return {*self.new, *(file for file, _, _ in self.changes)}

    def without(self, file: str) -> Addition:
        """The same, with one file forgotten."""
        assert file in self.files
        kept = {name: text for name, text in self.new.items() if name != file}
        return Addition(kept, tuple(change for change in self.changes if change[0] != file))

    def __add__(self, other: Addition) -> Addition:
        return Addition({**self.new, **other.new}, (*self.changes, *other.changes))


def copy_of_the_tree(target: Path) -> None:
    """``harness/`` below a directory."""
    shutil.copytree(PACKAGE, target / "harness", ignore=shutil.ignore_patterns("__pycache__"))


def make(addition: Addition, tree: Path) -> None:
    """Add it to a copy."""
    for name, text in addition.new.items():
        path = tree / "harness" / name
        assert not path.exists(), f"{name} is there already"
        path.write_text(text, encoding="utf-8")
    for name, old, new in addition.changes:
        path = tree / "harness" / name
        before = path.read_text(encoding="utf-8")
        assert before.count(old) == 1, (
            f"{name}: {old!r} stands there {before.count(old)} times; mend this, and the guide"
        )
        path.write_text(before.replace(old, new.replace("{0}", old)), encoding="utf-8")


WORDS, ROW, ACT = "model/words/vitals.py", "subjects/vitals/subject.py", "subjects/vitals/act.py"
CAUSES, FACTS, COMMANDS = "model/causes.py", "guest/files/facts.sh", "guest/files/commands.sh"
CHECK = "subjects/vitals/taint.py"

EXPECTATION = Addition(
    new={
        CHECK: '''\
"""Is a kernel tainted when it is up?"""

from __future__ import annotations

from harness.model.causes import Cause
from harness.model.verdict import Check
from harness.record.observations import Observations
from harness.subjects.common import failed, missing, passed

_NAME = "untainted"
_CAUSE = Cause.OOPS
_FACT = "tainted"


def check_untainted(observations: Observations) -> Check:
    """/proc/sys/kernel/tainted of every epoch."""
    for epoch in observations.entered:
        mask = (observations.record.text(epoch, _FACT) or "").strip()
        if not mask:
            return missing(_NAME, f"the guest of epoch {epoch} did not report {_FACT}", epoch=epoch)
        if mask != "0":
            return failed(_NAME, _CAUSE, f"the kernel of epoch {epoch} is tainted: {mask}", epoch=epoch)
    return passed(_NAME, "no kernel is tainted")
'''
    },
    changes=(
        (
            WORDS,
            "VitalsStep = BootStep\n",
            "class Untainted(ExpectationValue):\n"
            "    untainted: Literal[True] = Field(default=True, description='No kernel is tainted when it is up.')\n"
            "\n\n{0}",
        ),
        (WORDS, "VitalsExpectation = NoCrash", "{0} | Untainted"),
        (ROW, "import BootStep, NoCrash", "{0}, Untainted"),
        (
            ROW,
            "from harness.subjects.vitals.setup import",
            "from harness.subjects.vitals.taint import check_untainted\n{0}",
        ),
        (
            ROW,
            'expectations={NoCrash: lambda _item: [("no_crash", check_crash)]',
            '{0}, Untainted: lambda _item: [("untainted", check_untainted)]',
        ),
    ),
)

CAUSE = Addition(
    changes=(
        (
            CAUSES,
            "    # What was damaged.\n",
            '    TAINTED = ("tainted", FAIL, "A kernel is tainted when it is up.")\n{0}',
        ),
        (ROW, "        Cause.KNOWN_ISSUE_GONE,\n", "{0}        Cause.TAINTED,\n"),
        (CHECK, "Cause.OOPS", "Cause.TAINTED"),
    )
)
"""On top of the expectation, whose check names it."""

FACT = Addition(
    changes=(
        (FACTS, "    fact_file tainted /proc/sys/kernel/tainted\n", "{0}    fact taint-words fact_taint_words\n"),
        (
            FACTS,
            "fact_processors() {\n",
            "fact_taint_words() {\n    values \"$proc/sys/kernel\" '' tainted\n}\n\n{0}",
        ),
        (CHECK, '_FACT = "tainted"', '_FACT = "taint-words"'),
    )
)
"""On top of the expectation, whose check reads it."""

STEP = Addition(
    changes=(
        (
            WORDS,
            "VitalsStep = BootStep\n",
            'class SyncOptions(Value):\n    """The guest writes out what it has in memory."""\n\n\n'
            "class SyncStep(StepValue):\n"
            "    sync: SyncOptions = Field(description='Have the guest call sync(2).')\n\n\n"
            "VitalsStep = BootStep | SyncStep\n",
        ),
        (ROW, "import BootStep, NoCrash", "{0}, SyncStep"),
        (ROW, "    steps=(BootStep,),\n", "    steps=(BootStep, SyncStep),\n"),
        (ACT, "import BootStep\n", "import BootStep, SyncStep\n"),
        (
            ACT,
            "ACTS = {",
            "def _sync(stage: Stage, _step: SyncStep, _epoch: int) -> None:\n"
            '    stage.command("sync")\n'
            '    stage.wait("synced", stage.plan.budgets.reply_s)\n\n\n'
            "ACTS = {SyncStep: _sync, ",
        ),
        (COMMANDS, "    reboot) command_reboot ;;\n", "{0}    sync) command_sync ;;\n"),
        (COMMANDS, "command_load() {\n", "command_sync() {\n    sync\n    link_send synced\n}\n\n{0}"),
    )
)

TABLE_WORDS, KINDS, DECODER = "model/words/tables.py", "evidence/tables/kinds.py", "evidence/tables/smbios3.py"
TABLE = Addition(
    new={
        DECODER: '''\
"""The SMBIOS 3 entry point (DMTF DSP0134, 5.2.2): where the structures lie, and how many bytes they have."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from harness.evidence.defect import Defect

GUID = "f2fd1544-9794-4a2c-992e-e5bbcf20e394"
TABLE_BYTES = 24
_LAYOUT = struct.Struct("<5sBBBBBBBIQ")
_ANCHOR = b"_SM3_"


@dataclass(frozen=True)
class EntryPoint:
    size_bytes: int
    """Of the entry point itself."""
    most_bytes: int
    """Of the structures."""


def build(most_bytes: int) -> bytes:
    """An entry point of version 3.0 whose structures are nowhere."""
    data = _LAYOUT.pack(_ANCHOR, 0, TABLE_BYTES, 3, 0, 0, 1, 0, most_bytes, 0)
    return data[:5] + bytes([-sum(data) & 0xFF]) + data[6:]


def parse(data: bytes) -> EntryPoint | Defect:
    """Decode it; the sum of its bytes is 0."""
    if len(data) < TABLE_BYTES:
        return Defect(f"{len(data)} bytes do not hold the {TABLE_BYTES} bytes of an entry point")
    if data[:5] != _ANCHOR or sum(data[:TABLE_BYTES]) & 0xFF:
        return Defect("no anchor _SM3_, or a wrong checksum")
    return EntryPoint(TABLE_BYTES, _LAYOUT.unpack_from(data)[8])
'''
    },
    changes=(
        (
            CAUSES,
            "    # What was damaged.\n",
            '{0}    SMBIOS3_CORRUPT = ("smbios3-corrupt", FAIL, "The SMBIOS 3 entry point was damaged.", AS_PLANNED)\n',
        ),
        (TABLE_WORDS, '    PRIVATE = "private"\n', '    SMBIOS3 = "smbios3"\n{0}'),
        (
            TABLE_WORDS,
            "class OneTable(Value):\n",
            'class Smbios3Request(Placement):\n    """An SMBIOS 3 entry point."""\n\n'
            "    most: Size = Field(default=1024, ge=1, le=2**20, description='Bytes of the structures.')\n\n\n{0}",
        ),
        (
            TABLE_WORDS,
            "_TABLES = (\n",
            "class Smbios3Table(OneTable):\n"
            "    smbios3: Smbios3Request = Field(description='An SMBIOS 3 entry point.')\n\n\n"
            "{0}    TableName.SMBIOS3,\n",
        ),
        (TABLE_WORDS, '    Annotated[EsrtTable, Tag("esrt")]\n', '{0}    | Annotated[Smbios3Table, Tag("smbios3")]\n'),
        (KINDS, "import bgrt, esrt, memattr, mokvar, private, rtprop, ", "{0}smbios3, "),
        (
            KINDS,
            "    TableName.PRIVATE: Kind(\n",
            "    TableName.SMBIOS3: Kind(\n"
            '        word="SMBIOS 3 entry point",\n'
            '        how_to_have=_install("smbios3"),\n'
            "        guid=smbios3.GUID,\n"
            '        kernel_name="SMBIOS 3.0",\n'
            "        find=_at(smbios3.GUID, smbios3.TABLE_BYTES, _sized(smbios3.parse)),\n"
            "        content=lambda request, _nonce: smbios3.build(request.most),\n"
            "    ),\n{0}",
        ),
    ),
)

KIND, KIND_TABLE = "kernel/kinds/tree.py", "kernel/kinds/table.py"
KERNEL_KIND = Addition(
    new={
        KIND: '''\
"""Kind ``tree``: the kernel that somebody has built in a source tree."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.cache import Cache
from harness.kernel.image import images
from harness.kernel.kinds.kind import Asked, Entry, Item, Kind, Listed
from harness.model.kernel import KernelImage


class TreeEntry(Entry):
    """The top directory of a source that was built."""

    kind: Literal["tree"]
    tree: str = Field(min_length=1, description="The directory; a relative path begins at the entry's file.")


def _image(item: Item[TreeEntry], _asked: Asked) -> KernelImage:
    top = item.file.parent / Path(item.entry.tree)
    return images.from_file(item.entry.name, top / "arch/x86/boot/bzImage")


def _listed(item: Item[TreeEntry], _cache: Cache) -> Listed:
    return Listed(name=item.entry.name, kind=item.entry.kind, description=item.entry.description)


KIND = Kind(
    TreeEntry,
    image=_image,
    listed=_listed,
    bring=lambda item, asked: _image(item, asked).release,
    absent="a tree here",
)
'''
    },
    changes=(
        (KIND_TABLE, "import debian, file, hypervisor, source\n", "import debian, file, hypervisor, source, tree\n"),
        (KIND_TABLE, "source.TWIN)", "source.TWIN, tree.KIND)"),
    ),
)

CRASH_TABLE = "evidence/crash/formats/faults.py"
CRASH_FORMAT = Addition(
    changes=(
        (
            CRASH_TABLE,
            "FAULTS: tuple[Format, ...] = (\n",
            "{0}    row(\n"
            '        Kind.FAULT, "BUG", r"BUG: TASK shadow stack was hit at", "BUG: shadow stack was hit{where}", _O, '
            "Where.TRACE\n    ),\n",
        ),
    )
)

FORMAT, FORMAT_TABLE = "report/lines.py", "report/formats.py"
REPORT_FORMAT = Addition(
    new={
        FORMAT: '''\
"""Verdicts for grep: a line each."""

from __future__ import annotations

from harness.model.plan import Plan
from harness.model.verdict import Verdict
from harness.report.results import Results


def one(verdict: Verdict, _plan: Plan | None = None) -> str:
    """Status, cause or ``-``, variant."""
    return f"{verdict.status} {verdict.cause or '-'} {verdict.variant}\\n"


def everything(results: Results) -> str:
    """In the order in which they ended."""
    return "".join(map(one, results.verdicts))
'''
    },
    changes=(
        (FORMAT_TABLE, "import asjson, text\n", "import asjson, lines, text\n"),
        (
            FORMAT_TABLE,
            "asjson.everything),)",
            'asjson.everything), Format("lines", "lines", lines.one, lines.everything))',
        ),
    ),
)

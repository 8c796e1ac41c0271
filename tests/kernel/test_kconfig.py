from __future__ import annotations

from pathlib import Path

import pytest

from harness.kernel.build import kconfig
from harness.kernel.image.config import Config

KCONFIG = """\
menu "outer"
\tdepends on OUTER

config EFI_SOFT
\tbool "Reserve"
\tdepends on EFI && (X86 || ARM64) && \\
\t\t!BROKEN
\tdefault y
\thelp
\t  Text that says depends on NOTHING
\t  if you ask.

endmenu

config SELECTED
\tbool
\tdepends on EFI

if HYPER
config GUEST
\ttristate "guest"
endif

config FREE
\tbool "free"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers/Kconfig").write_text(KCONFIG)
    (tmp_path / "arch/arm").mkdir(parents=True)
    (tmp_path / "arch/arm/Kconfig").write_text('config ARM_ONLY\n\tbool "x"\n')
    return tmp_path


def test_asked() -> None:
    text = '# a comment\nCONFIG_A=y\nCONFIG_B="text"\n# CONFIG_C is not set\nCONFIG_A=n\nCONFIG_D=64\n'
    assert kconfig.asked(text) == {"A": "n", "B": "text", "C": "n", "D": "64"}


def test_dropped_is_what_has_another_value() -> None:
    config = Config({"A": "y", "B": "m", "D": "8"})
    assert kconfig.dropped({"A": "y", "B": "y", "C": "n", "D": "64", "E": "y"}, config) == {
        "B": "m",
        "D": "8",
        "E": "n",
    }
    assert kconfig.dropped({"A": "n"}, config) == {"A": "y"}


@pytest.mark.parametrize(
    ("symbol", "values", "reason"),
    [
        ("EFI_SOFT", {"OUTER", "X86"}, "and EFI=n"),
        ("EFI_SOFT", {"EFI", "X86"}, "and OUTER=n"),
        ("EFI_SOFT", {"EFI", "OUTER"}, "and X86=n, ARM64=n"),
        ("EFI_SOFT", {"EFI", "OUTER", "X86", "BROKEN"}, "and BROKEN=y"),
        ("EFI_SOFT", {"EFI", "OUTER", "ARM64"}, "drivers/Kconfig:4: its own dependencies are met"),
        ("SELECTED", {"EFI"}, "drivers/Kconfig:15: it has no prompt"),
        ("GUEST", set(), "drivers/Kconfig:20: depends on HYPER, and HYPER=n"),
        ("FREE", set(), "its own dependencies are met"),
        ("NOTHING", set(), "there is no such symbol"),
        ("ARM_ONLY", set(), "there is no such symbol"),
    ],
)
def test_what_is_in_the_way(tree: Path, symbol: str, values: set[str], reason: str) -> None:
    assert reason in kconfig.explain(symbol, tree, Config(dict.fromkeys(values, "y")))

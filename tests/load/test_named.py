"""Names that no registry has are refused by ``harness check``, where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.load.named import Names, registry_names, unknown
from harness.load.scenarios import Files

NAMES = Names(("debian-6.1", "tiny-6.1"), ("xen-4.17",))
TEXT = """\
id: a/b
why: x
matrix: {{kernel: [{kernel}], firmware: [ovmf-x64]}}
{more}steps:
  - boot
  - kexec: {{syscall: load, kernel: {following}}}
expect: [no_crash]
"""


def mistakes(folder: Path, kernel: str = "debian-6.1", following: str = "tiny-6.1", more: str = "") -> list[str]:
    path = folder / "one.yaml"
    path.write_text(TEXT.format(kernel=kernel, following=following, more=more))
    files = Files.read([path])
    found = unknown(files.documents, files.variants(), NAMES)
    return [f"{item.line}:{item.column}: {item.path}: {item.message}" for item in found]


def test_all_known(tmp_path: Path) -> None:
    assert mistakes(tmp_path, more="hypervisor: {name: xen-4.17}\n") == []


@pytest.mark.parametrize("name", ["./bzImage", "/boot/vmlinuz", "linux.deb"])
def test_paths_are_no_names(tmp_path: Path, name: str) -> None:
    assert mistakes(tmp_path, kernel=name) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kernel": "debian-6.1, debain-6.1"}, "3:31: matrix.kernel[1]: there is no kernel 'debain-6.1'"),
        ({"following": "tiny-6.2"}, "6:36: steps[1].kexec.kernel: there is no kernel 'tiny-6.2'"),
        ({"kernel": "xen-4.17"}, "3:19: matrix.kernel[0]: 'xen-4.17' is a hypervisor, not a kernel"),
        ({"more": "hypervisor: {name: xen-4.16}\n"}, "4:20: hypervisor.name: there is no hypervisor 'xen-4.16'"),
        ({"more": "hypervisor: {name: tiny-6.1}\n"}, "'tiny-6.1' is a kernel, not a hypervisor"),
    ],
)
def test_unknown_names(tmp_path: Path, values: dict[str, str], said: str) -> None:
    (message,) = mistakes(tmp_path, **values)
    assert said in message


def test_did_you_mean(tmp_path: Path) -> None:
    (message,) = mistakes(tmp_path, kernel="debain-6.1")
    assert "did you mean 'debian-6.1'" in message


def test_the_names_of_a_registry(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("kind: file\nname: mine\n")
    (tmp_path / "two.yaml").write_text("kind: hypervisor\nname: xen\n")
    (tmp_path / "known-issues.yaml").write_text("[]\n")
    (tmp_path / "broken.yaml").write_text("{\n")
    assert registry_names(tmp_path) == Names(("mine",), ("xen",))
    assert registry_names(tmp_path / "none") is None

"""A kernel source of a dozen files that real make and patch work on in milliseconds, and programs to build it with."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from harness.kernel.build.recipe import Recipe
from harness.kernel.registry import Registry

from . import build

RELEASE = "6.1.192-tiny"
MAIN = "".join(f"line {number}\n" for number in range(1, 21))

MAKEFILE = """\
# the one rule of kbuild that matters here: everything goes to $(O)
.PHONY: tinyconfig defconfig olddefconfig bzImage modules modules_install
tinyconfig defconfig:
\t@cp base.config $(O)/.config
olddefconfig:
\t@sh scripts/olddefconfig.sh $(O)/.config
$(O)/main.o: main.c
\t@echo "  CC      main.o"
\t@if grep -n '#error' main.c; then echo "main.c:7:2: error: #error on purpose" >&2; exit 1; fi
\t@if grep -q '#full' main.c; then echo "cannot write: No space left on device" >&2; exit 1; fi
\t@cp main.c $@
$(O)/slow.o: slow.c $(O)/main.o
\t@echo "  CC      slow.o"
\t@if grep -q 'sleep' slow.c; then echo $$$$ >$(O)/pid; echo "  LD      waiting"; exec sleep 60; fi
\t@cp slow.c $@
bzImage: $(O)/slow.o
\t@mkdir -p $(O)/arch/x86/boot
\t@cat image.bin $(O)/main.o $(O)/slow.o >$(O)/arch/x86/boot/bzImage
\t@echo symbols >$(O)/vmlinux; echo "0 T start" >$(O)/System.map
modules:
\t@:
modules_install:
\t@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/RELEASE/kernel
\t@ln -s $(O) $(INSTALL_MOD_PATH)/lib/modules/RELEASE/build
\t@echo "kernel/a.ko:" >$(INSTALL_MOD_PATH)/lib/modules/RELEASE/modules.dep
""".replace("RELEASE", RELEASE)

MERGE = """\
# -m -O OUT BASE FRAGMENT: as the kernel's own, the later value wins
cat "$5" >>"$4"
"""
OLDDEFCONFIG = """\
# drops what depends on something that is not set, without a word
grep -q CONFIG_NEEDED=y "$1" || sed -i /CONFIG_PICKY/d "$1"
sed -i /CONFIG_NOWHERE/d "$1"
"""
KCONFIG = """\
config NEEDED
\tbool "others need it"

if EFI
config PICKY
\tbool "needs something"
\tdepends on NEEDED && KEXEC
endif

config HIDDEN
\tbool
"""

PATCH = """\
Puts a bug back.
--- a/main.c
+++ b/main.c
@@ -6,5 +6,4 @@
 line 6
 line 7
-line 8
 line 9
 line 10
"""
"""Removes a line."""

FILES: Mapping[str, str] = {
    "Kbuild": "",
    "Makefile": MAKEFILE,
    "Kconfig": KCONFIG,
    "base.config": build.CONFIG,
    "main.c": MAIN,
    "slow.c": "quick\n",
    "scripts/kconfig/merge_config.sh": MERGE,
    "scripts/olddefconfig.sh": OLDDEFCONFIG,
}

ENTRY = """\
kind: source
name: tiny
description: for a test of building
source: {SOURCE}
config: {base: tinyconfig, fragments: [base]}
localversion: -tiny
"""
TWIN = "kind: twin\nname: tiny+bug\ndescription: with a bug put back\nof: tiny\npatches: [bug]\n"


def write_tree(directory: Path, changes: Mapping[str, str] | None = None) -> Path:
    for name, text in {**FILES, **(changes or {})}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (directory / "image.bin").write_bytes(build.bzimage(RELEASE))
    return directory


def write_tarball(path: Path, changes: Mapping[str, str] | None = None) -> Path:
    tree = write_tree(path.parent / f"{path.name}.d", changes)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.add(tree, "linux-6.1")
    path.write_bytes(data.getvalue())
    shutil.rmtree(tree)
    return path


def write_programs(directory: Path) -> Path:
    """Compiler and friends that are only asked for their names; make, patch and tar are the real ones."""
    directory.mkdir(exist_ok=True)
    for name in ("gcc", "ld", "flex", "bison", "bc", "perl", "xz"):
        if name in {"xz"} and shutil.which(name):
            continue
        (directory / name).write_text(f"#!/bin/sh\n[ $# -gt 0 ] && [ $1 = -E ] && cat >/dev/null\necho '{name} 1.0'\n")
        (directory / name).chmod(0o755)
    return directory


class Kernels:
    """A registry with one source entry, a twin, a fragment and a patch, all of which a test may change."""

    def __init__(self, directory: Path, source: str) -> None:
        self.directory = directory
        self.write("tiny.yaml", ENTRY.replace("{SOURCE}", source))
        self.write("tiny+bug.yaml", TWIN)
        self.write("fragments/base.config", "# why\nCONFIG_KEXEC=y\n")
        self.write("patches/bug.patch", PATCH)

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def registry(self) -> Registry:
        return Registry.load(self.directory)

    def recipe(self, name: str = "tiny") -> Recipe:
        recipe = self.registry.recipe(name)
        assert recipe is not None
        return recipe


def running(pid_file: Path) -> bool:
    """Is the process whose number stands in the file still there, and not just waiting to be reaped?"""
    try:
        stat = Path("/proc", pid_file.read_text().strip(), "stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


def path_without(name: str, directory: Path) -> str:
    """A PATH with every program that is on PATH now, but one."""
    directory.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for program in Path(place).glob("*"):
            link = directory / program.name
            link.unlink(missing_ok=True)
            if program.name != name:
                link.symlink_to(program)
    return str(directory)

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from harness.kernel.build import toolchain

SETUP = Path(__file__).parents[2] / "setup"


def listed(name: str) -> set[str]:
    lines = (SETUP / name).read_text().splitlines()
    return {package for line in lines if (package := line.split("#")[0].strip())}


def test_every_package_a_build_asks_for_is_installed_by_the_set_up() -> None:
    wanted = {*toolchain.PROGRAMS.values(), *toolchain.HEADERS.values(), "libc6-dev"} - {"tar"}  # tar is essential
    assert wanted <= listed("apt-packages.txt") | listed("apt-packages-build.txt")
    assert not listed("apt-packages.txt") & listed("apt-packages-build.txt")


def test_the_set_up_installs_them_only_when_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "dpkg-query").write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >>{log}\nprintf installed\n')
    (tmp_path / "dpkg-query").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HARNESS_SKIP_APT": ""}

    def asked_for(argument: str) -> set[str]:
        log.write_text("")
        subprocess.run(["sh", str(SETUP / "install.sh"), argument], env=environment, check=True)
        return set(log.read_text().split())

    assert asked_for("build-tools") == listed("apt-packages-build.txt")
    assert asked_for("packages") == listed("apt-packages.txt")

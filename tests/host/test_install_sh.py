"""setup/install.sh on machines made of a few scripts: what it asks, what it installs, what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REAL = ("sh", "sed", "tr", "cat", "rm", "cut", "sha256sum", "dirname", "env", "tail", "mkdir", "chmod")
PACKAGES = [
    name for line in (ROOT / "setup/apt-packages.txt").read_text().splitlines() if (name := line.split("#")[0].strip())
]
PYTHON = """
case "$*" in
*ensurepip*) exit {old} ;;
*version_info*) echo 3.9 ;;
*'-m venv'*)
    echo "venv $*" >>"$LOG"; for last; do :; done
    mkdir -p "$last/bin"; cat "$0" >"$last/bin/python"; chmod +x "$last/bin/python" ;;
*'-m pip'*) echo "pip $*" >>"$LOG"; exit {pip} ;;
esac
"""


@dataclass
class Fresh:
    """A copy of the set-up files, and a PATH with nothing but a few real tools and fakes."""

    root: Path

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def installed(self) -> Path:
        return self.root / "installed"

    def fake(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def python(self, name: str = "python3", *, old: int = 0, pip: int = 0) -> None:
        self.fake(name, PYTHON.format(old=old, pip=pip))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(self.bin), "LOG": str(self.log), "INSTALLED": str(self.installed), "PYTHON": "python3"}
        return subprocess.run(
            ["/bin/sh", str(self.root / "tree/setup/install.sh"), *arguments],
            env=environ | dict(env or {}),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )

    def done(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    machine = Fresh(tmp_path)
    machine.bin.mkdir()
    (tmp_path / "tree/setup").mkdir(parents=True)
    for name in ("setup/install.sh", "setup/apt-packages.txt"):
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    (tmp_path / "tree/pyproject.toml").write_text("[project]\n")
    for name in REAL:
        found = shutil.which(name)
        assert found, name
        (machine.bin / name).symlink_to(found)
    machine.installed.write_text("")
    machine.fake("id", "echo 0")
    machine.fake(
        "dpkg-query",
        'for last; do :; done\nwhile read -r name; do [ "$name" != "$last" ] || { printf installed; exit 0; }; done'
        ' <"$INSTALLED"\necho "no packages found" >&2; exit 1',
    )
    machine.fake(
        "apt-get",
        'echo "apt-get frontend=$DEBIAN_FRONTEND $*" >>"$LOG"\n'
        'case "$*" in *install*) for name; do echo "$name" >>"$INSTALLED"; done ;; esac',
    )
    machine.python()
    return machine


def all_installed(fresh: Fresh, *but: str) -> None:
    fresh.installed.write_text("".join(f"{name}\n" for name in PACKAGES if name not in but))


def test_list_has_what_a_bare_debian_lacks() -> None:
    assert {"qemu-system-x86", "ovmf", "python3-venv", "ca-certificates"} <= set(PACKAGES)
    assert len(PACKAGES) == len(set(PACKAGES))


def test_fresh_machine_updates_once_and_installs_all(fresh: Fresh) -> None:
    done = fresh.run()
    assert done.returncode == 0, done.stderr
    calls = [line for line in fresh.done().splitlines() if line.startswith("apt-get")]
    assert [("update" in call, "install" in call) for call in calls] == [(True, False), (False, True)]
    assert all("frontend=noninteractive" in call for call in calls)
    assert calls[1].endswith(" ".join(PACKAGES))


def test_second_run_does_nothing(fresh: Fresh) -> None:
    assert fresh.run().returncode == 0
    fresh.log.unlink()
    done = fresh.run()
    assert (done.returncode, done.stderr, fresh.done()) == (0, "", "")


def test_only_what_is_missing_is_installed(fresh: Fresh) -> None:
    all_installed(fresh, "ovmf")
    assert fresh.run("packages").returncode == 0
    assert fresh.done().splitlines()[-1].endswith("--no-install-recommends ovmf")


def test_removed_package_with_its_files_left_is_missing(fresh: Fresh) -> None:
    all_installed(fresh)
    fresh.fake("dpkg-query", 'case "$*" in *ovmf) printf config-files ;; *) printf installed ;; esac')
    done = fresh.run("packages")
    assert "missing packages: ovmf" in done.stderr


def test_user_without_sudo_is_told_the_command(fresh: Fresh) -> None:
    all_installed(fresh, "ovmf", "mtools")
    fresh.fake("id", "echo 1000")
    done = fresh.run()
    assert done.returncode == 3
    assert "apt-get update && apt-get install --no-install-recommends ovmf mtools" in done.stderr
    assert fresh.done() == "", "nothing was tried"


def test_user_with_sudo(fresh: Fresh) -> None:
    all_installed(fresh, "ovmf")
    fresh.fake("id", "echo 1000")
    # As the real one: the caller's environment does not pass.
    fresh.fake("sudo", 'echo "sudo $1" >>"$LOG"; unset DEBIAN_FRONTEND; exec "$@"')
    assert fresh.run("packages").returncode == 0
    assert fresh.done().count("sudo env\napt-get frontend=noninteractive") == 2


def test_sudo_asks_for_no_password_in_ci(fresh: Fresh) -> None:
    all_installed(fresh, "ovmf")
    fresh.fake("id", "echo 1000")
    fresh.fake("sudo", 'echo "sudo $1" >>"$LOG"; exit 1')
    done = fresh.run("packages", env={"CI": "true"})
    assert done.returncode == 3
    assert fresh.done() == "sudo -n\n"


def test_user_without_sudo_on_a_ready_machine_needs_no_root(fresh: Fresh) -> None:
    all_installed(fresh)
    fresh.fake("id", "echo 1000")
    assert fresh.run("packages").returncode == 0


@pytest.mark.parametrize(("word", "said"), [("update", "apt-get update failed"), ("install", "apt-get install failed")])
def test_apt_that_fails(fresh: Fresh, word: str, said: str) -> None:
    fresh.fake("apt-get", f'case "$*" in *{word}*) echo "E: no route" >&2; exit 100 ;; esac')
    done = fresh.run()
    assert done.returncode == 3
    assert "E: no route" in done.stderr
    assert said in done.stderr
    assert fresh.done() == "", "no environment is made on a machine that is not ready"


def test_apt_that_says_all_is_well_and_installs_nothing(fresh: Fresh) -> None:
    fresh.fake("apt-get", "exit 0")
    done = fresh.run("packages")
    assert done.returncode == 3
    assert "still missing after apt-get install: qemu-system-x86" in done.stderr


def test_reboots_of_this_machine_stay_as_they_are(fresh: Fresh) -> None:
    fresh.fake("debconf-set-selections", 'read -r line; echo "debconf $line" >>"$LOG"')
    all_installed(fresh, "kexec-tools")
    assert fresh.run("packages").returncode == 0
    assert fresh.done().startswith("debconf kexec-tools kexec-tools/load_kexec boolean false\n")


def test_answer_for_kexec_is_not_given_where_it_is_installed(fresh: Fresh) -> None:
    fresh.fake("debconf-set-selections", 'echo debconf >>"$LOG"')
    all_installed(fresh, "ovmf")
    assert fresh.run("packages").returncode == 0
    assert "debconf" not in fresh.done()


def test_other_systems_are_told_what_to_do(fresh: Fresh) -> None:
    (fresh.bin / "dpkg-query").unlink()
    done = fresh.run()
    assert done.returncode == 3
    assert "HARNESS_SKIP_APT=1" in done.stderr
    assert fresh.run(env={"HARNESS_SKIP_APT": "1"}).returncode == 0


def test_old_python_is_passed_over(fresh: Fresh) -> None:
    all_installed(fresh)
    fresh.python("python3", old=1)
    fresh.python("python3.12")
    done = fresh.run(env={"PYTHON": "python3 python3.12"})
    assert done.returncode == 0
    assert f"with {fresh.bin}/python3.12" in done.stderr


def test_only_old_pythons(fresh: Fresh) -> None:
    all_installed(fresh)
    fresh.python("python3", old=1)
    done = fresh.run()
    assert done.returncode == 3
    assert "no Python 3.11 or newer with venv and ensurepip; looked at: python3 (3.9)" in done.stderr
    assert fresh.done() == ""


def test_failed_pip_leaves_no_stamp(fresh: Fresh) -> None:
    all_installed(fresh)
    fresh.python(pip=1)
    done = fresh.run()
    assert done.returncode == 3
    assert "pip install --upgrade pip>=25.1 failed" in done.stderr
    fresh.log.unlink()
    fresh.python()
    shutil.rmtree(fresh.root / "tree/.venv")
    assert fresh.run().returncode == 0
    assert "--editable . --group dev" in fresh.done()


def test_changed_dependencies_update_the_environment(fresh: Fresh) -> None:
    all_installed(fresh)
    assert fresh.run().returncode == 0
    fresh.log.unlink()
    (fresh.root / "tree/pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert fresh.run().returncode == 0
    assert "--clear" not in fresh.done()
    assert "--editable . --group dev" in fresh.done()


def test_moved_or_broken_environment_is_made_anew(fresh: Fresh) -> None:
    all_installed(fresh)
    assert fresh.run().returncode == 0
    (fresh.root / "tree").rename(fresh.root / "moved")
    (fresh.root / "tree").symlink_to(fresh.root / "moved")
    stamp = fresh.root / "moved/.venv/.harness-stamp"
    stamp.write_text(stamp.read_text().replace("/tree/", "/elsewhere/"))
    fresh.log.unlink()
    assert fresh.run().returncode == 0
    assert "--clear" in fresh.done()

    (fresh.root / "moved/.venv/bin/python").write_text("#!/nowhere/python\n")
    fresh.log.unlink()
    assert fresh.run().returncode == 0
    assert "--clear" in fresh.done()


def test_unknown_argument(fresh: Fresh) -> None:
    done = fresh.run("everything")
    assert done.returncode == 3
    assert "usage: sh setup/install.sh" in done.stderr


SCRIPTS = [str(path.relative_to(ROOT)) for path in (ROOT / "setup").glob("*.sh")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_plain_sh(script: str) -> None:
    done = subprocess.run(["sh", "-n", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", [*SCRIPTS, ".ci/run"])
def test_shellcheck(script: str) -> None:
    done = subprocess.run(["shellcheck", script], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout == ""
    assert done.returncode == 0

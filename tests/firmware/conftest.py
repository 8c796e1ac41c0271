"""Images for the tests under QEMU: the agent, and what they give it to start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_vm import Again, AgentVm
from runtime_vm import plan_text, runtime_line

from harness.firmware.build import APPLICATION_FLAGS, SOURCES, AgentBinary, build_agent, compile_image, find_tools
from harness.model.words.driver import FirmwareArch

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compiles an application: its own source, and the named ones of the agent."""

    def compile_application(source: str, *shared: str, arch: FirmwareArch = FirmwareArch.X64) -> bytes:
        image = tmp_path_factory.mktemp("image") / "image.efi"
        sources = [HERE / source, *(SOURCES / name for name in shared)]
        compile_image(find_tools(), arch, sources, APPLICATION_FLAGS, image)
        return image.read_bytes()

    return compile_application


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> AgentBinary:
    return build_agent(tmp_path_factory.mktemp("agent"))


@pytest.fixture(scope="session")
def binary32(tmp_path_factory: pytest.TempPathFactory) -> AgentBinary:
    return build_agent(tmp_path_factory.mktemp("agent32"), arch=FirmwareArch.IA32)


def save_at_ready(binary: AgentBinary, directory: Path) -> Path:
    """A machine saved at READY, before it had any plan: its fw_cfg has no file of the harness at all."""
    with AgentVm(binary.path, directory / "vm", {}, arch=binary.arch) as vm:
        vm.wait("ready")
        vm.save(directory / "state")
    return directory / "state"


@pytest.fixture(scope="session")
def saved(binary: AgentBinary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_at_ready(binary, tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="session")
def saved32(binary32: AgentBinary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_at_ready(binary32, tmp_path_factory.mktemp("saved32"))


@pytest.fixture
def again(binary: AgentBinary, saved: Path, tmp_path: Path) -> Iterator[Again]:
    starter = Again(binary, saved, tmp_path)
    yield starter
    starter.end()


@pytest.fixture
def again32(binary32: AgentBinary, saved32: Path, tmp_path: Path) -> Iterator[Again]:
    starter = Again(binary32, saved32, tmp_path)
    yield starter
    starter.end()


@pytest.fixture(scope="session")
def given(binary: AgentBinary, build: Callable[..., bytes]) -> dict[str, bytes]:
    """The runtime driver, and runtime_probe.c in the place of a kernel."""
    return {
        "plan": plan_text(runtime_line()),
        "driver": binary.driver.path.read_bytes(),
        "kernel": build("runtime_probe.c", "text.c"),
        "cmdline": b"call:get-time",
    }


@pytest.fixture(scope="session")
def given32(binary32: AgentBinary, build: Callable[..., bytes]) -> dict[str, bytes]:
    return {
        "plan": plan_text(runtime_line()),
        "driver": binary32.driver.path.read_bytes(),
        "kernel": build("runtime_probe.c", "text.c", arch=FirmwareArch.IA32),
        "cmdline": b"call:get-time",
    }

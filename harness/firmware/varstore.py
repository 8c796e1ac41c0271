"""A fresh UEFI variable store for each run. The only module that knows virt-firmware, whose API is not stable."""

from __future__ import annotations

import contextlib
import logging
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

from virt.firmware.varstore.edk2 import Edk2VarStore  # type: ignore[import-untyped]

from harness.errors import HostError, InputError
from harness.model.plan import FirmwareFiles

NV_DATA_GUID = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
"""gEfiSystemNvDataFvGuid: the file system of a firmware volume that holds variables."""
_VOLUME_HEADER = struct.Struct("<16s16sQ4s")
"""The begin of EFI_FIRMWARE_VOLUME_HEADER (PI 1.8, volume 3, 3.2.1), up to its signature."""
_WRONG_FILE = "give the *_VARS*.fd file that belongs to the firmware, as CODE.fd:VARS.fd"


def make_varstore(firmware: FirmwareFiles, destination: Path) -> Path:
    """Copy the firmware's variable store template to ``destination``, checked and writable.

    Raises:
        InputError: the template is missing, or is no variable store.
        HostError: ``destination`` cannot be written.
    """
    template = firmware.vars_template
    data = read_template(template)
    variable_names(template)
    try:
        # Contents only: a template is often read-only, and the firmware writes to its copy.
        destination.write_bytes(data)
    except OSError as error:
        raise HostError(f"cannot write the variable store {destination}: {error.strerror or error}") from error
    return destination


def read_template(path: Path) -> bytes:
    """The bytes of a file that begins with a whole firmware volume for variables.

    Raises:
        InputError: it does not.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the variable store {path}: {error.strerror or error}", hint=_WRONG_FILE
        ) from error
    if len(data) < _VOLUME_HEADER.size:
        raise InputError(f"{path} is not a variable store: it has {len(data)} bytes", hint=_WRONG_FILE)
    _, guid, length, signature = _VOLUME_HEADER.unpack_from(data)
    # Looked at here and not by Edk2VarStore, which searches on and never ends in a volume of length 0 (26.10).
    if signature != b"_FVH":
        raise InputError(f"{path} is not a variable store: it is no UEFI firmware volume", hint=_WRONG_FILE)
    if guid != NV_DATA_GUID.bytes_le:
        raise InputError(f"{path} is not a variable store: it holds firmware code", hint=_WRONG_FILE)
    if length > len(data):
        raise InputError(f"{path} is cut off: {len(data)} of {length} bytes", hint=_WRONG_FILE)
    return data


def variable_names(path: Path) -> tuple[str, ...]:
    """The names of the variables in a store, sorted; none for a fresh one.

    Raises:
        InputError: virt-firmware cannot read it.
    """
    with _library_log() as said:
        try:
            return tuple(sorted(Edk2VarStore(str(path)).get_varlist()))
        except SystemExit as error:  # how the library ends when it cannot go on (26.10)
            reason = said[-1] if said else "virt-firmware refuses it"
            raise InputError(f"{path} is not a variable store: {reason}", hint=_WRONG_FILE) from error
        except (struct.error, IndexError, ValueError) as error:
            raise InputError(f"{path} is a damaged variable store: {error}", hint=_WRONG_FILE) from error


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())


@contextlib.contextmanager
def _library_log() -> Iterator[list[str]]:
    """What the library logs as errors meanwhile.

    It uses the root logger, whose first message installs a handler to stderr when there is none: this one is there.
    """
    messages: list[str] = []
    collector = _Collector(messages)
    logging.getLogger().addHandler(collector)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(collector)

"""As ``harness.subjects.common``, with where a dump's checks are explained."""

from __future__ import annotations

from functools import partial

from harness.subjects import common

failed = partial(common.failed, hint="docs/kdump.md says what this check asks for, and what else can make it fail.")
missing = partial(common.missing, hint="Run it again.")

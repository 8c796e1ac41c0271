"""What an entry of the registry says about Debian's archive: where to look, and for which version."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Suite = Annotated[str, Field(pattern=r"^[a-z][a-z0-9/_-]*$", examples=["bookworm-security"])]
Suites = Annotated[tuple[Suite, ...], Field(min_length=1)]
"""The newest package of all these suites is taken; of equals, that of the first suite."""
Pin = Annotated[str, Field(min_length=3, description="An exact package version instead of the newest.")]

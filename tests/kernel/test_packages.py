from __future__ import annotations

import itertools

import pytest

from harness.kernel.debian import packages
from harness.kernel.debian.packages import Package, compare_versions

# oldest first; checked with `dpkg --compare-versions`
ORDER = [
    "5.10.218-1",
    "5.10.262-1",
    "6.1.9-1",
    "6.1.176-1",
    "6.1.180-1~deb11u1",
    "6.1.180-1",
    "6.1.192-2",
    "6.12.95-1~bpo12+1",
    "6.12.115-1",
    "6.12.115-2",
    "7.3~rc7-1~exp1",
    "7.3-1",
    "7.3.4-1~bpo13+1",
    "7.3.4-1",
    "7.3.4-1+b1",
    "7.3.4a-1",
    "7.3.4+x-1",
    "1:1.0-1",
]


@pytest.mark.parametrize(("older", "newer"), [*itertools.pairwise(ORDER)])
def test_versions_are_ordered_as_debian_does(older: str, newer: str) -> None:
    assert compare_versions(older, newer) < 0
    assert compare_versions(newer, older) > 0
    assert compare_versions(newer, newer) == 0


def test_zeroes_and_revisions() -> None:
    assert compare_versions("6.01-1", "6.1-1") == 0
    assert compare_versions("6.1", "6.1-0") == 0
    assert compare_versions("6.1", "6.1-1") < 0


def package(name: str, version: str, suite: str = "s", depends: str = "kmod, linux-base (>= 4.3~)") -> Package:
    return Package(name, version, suite, "0" * 64, 1, depends)


def names(known: list[Package], series: str, flavour: str) -> list[str]:
    return [bundle.packages[0].name for bundle in packages.bundles(known, series, flavour)]


def test_the_newest_of_series_and_flavour_comes_first() -> None:
    known = [
        package("linux-image-6.1.0-9-amd64", "6.1.27-1"),
        package("linux-image-6.1.0-56-amd64", "6.1.192-2"),
        package("linux-image-6.1.0-50-amd64", "6.1.176-1"),
        package("linux-image-6.1.0-60-cloud-amd64", "6.1.200-1"),
        package("linux-image-6.1.0-60-rt-amd64", "6.1.200-1"),
        package("linux-image-6.12.117+deb12-amd64", "6.12.117-1~deb12u1"),
        package("linux-image-6.1.0-56-amd64-dbg", "6.1.192-2"),
    ]
    assert names(known, "6.1", "amd64") == [
        "linux-image-6.1.0-56-amd64",
        "linux-image-6.1.0-50-amd64",
        "linux-image-6.1.0-9-amd64",
    ]
    assert names(known, "6.1", "cloud-amd64") == ["linux-image-6.1.0-60-cloud-amd64"]
    assert names(known, "6.12", "amd64") == ["linux-image-6.12.117+deb12-amd64"]
    assert names(known, "6.13", "amd64") == []


def test_signed_before_unsigned_of_one_version_only() -> None:
    known = [
        package("linux-image-6.1.0-1-amd64-unsigned", "6.1.2-1"),
        package("linux-image-6.1.0-1-amd64", "6.1.2-1"),
        package("linux-image-6.1.0-2-amd64-unsigned", "6.1.3-1"),
    ]
    found = packages.bundles(known, "6.1", "amd64")
    assert [(bundle.version, bundle.signed) for bundle in found] == [
        ("6.1.3-1", False),
        ("6.1.2-1", True),
        ("6.1.2-1", False),
    ]


def test_of_equals_the_first_suite_wins() -> None:
    known = [package("linux-image-6.1.0-1-amd64", "6.1.2-1", suite) for suite in ("first", "second")]
    assert [bundle.packages[0].suite for bundle in packages.bundles(known, "6.1", "amd64")] == ["first", "second"]


def test_packages_that_only_depend_are_not_kernels() -> None:
    known = [
        package("linux-image-6.12-amd64", "6.12.117-1", depends="linux-image-6.12.117+deb12-amd64 (= 6.12.117-1)"),
        package("linux-image-amd64", "6.12.117-1"),
        package("linux-image-7.3-amd64", "7.3-1", depends="linux-base-7.3-amd64, linux-binary-7.3-amd64 (= 7.3-1)"),
    ]
    assert names(known, "6.12", "amd64") == []
    assert names(known, "7.3", "amd64") == []


def split(kernel: str, version: str, binary: str = "binary") -> list[Package]:
    return [package(f"linux-{part}-{kernel}", version) for part in (binary, "base", "modules")]


def test_a_split_kernel_is_three_packages_of_one_version() -> None:
    known = split("7.2.13+deb14-amd64", "7.2.13-1") + split("7.2.13+deb14-cloud-amd64", "7.2.13-1")
    (bundle,) = packages.bundles(known, "7.2", "amd64")
    assert [item.name for item in bundle.packages] == [
        "linux-binary-7.2.13+deb14-amd64",
        "linux-base-7.2.13+deb14-amd64",
        "linux-modules-7.2.13+deb14-amd64",
    ]
    assert (bundle.signed, bundle.size_bytes) == (True, 3)


def test_an_unsigned_split_kernel_where_no_signed_one_is_built_yet() -> None:
    known = split("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1", "binary-unsigned")
    (bundle,) = packages.bundles(known, "7.3", "amd64")
    assert not bundle.signed


def test_half_a_split_kernel_is_none() -> None:
    known = split("7.2.13+deb14-amd64", "7.2.13-1")[:2]
    known.append(package("linux-modules-7.2.13+deb14-amd64", "7.2.12-1"))
    assert packages.bundles(known, "7.2", "amd64") == []


def test_what_apt_cache_shows() -> None:
    text = (
        "Package: linux-image-x\nVersion: 1:6.1-1\nSize: 42\nSHA256: abc\nDepends: kmod, y\n"
        "Description: d\n more: x\n\n"
        "Package: virtual\nVersion: 1\n\n"
    )
    assert list(packages.parse_show(text, "sid")) == [Package("linux-image-x", "1:6.1-1", "sid", "abc", 42, "kmod, y")]

from __future__ import annotations

from harness.kernel.debian import sources
from harness.kernel.debian.sources import Source

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
DEB822 = f"""\
Types: deb deb-src
# the mirror
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: {KEYS}

Types: deb
URIs: http://security.example.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYS}
Trusted: yes

Types: deb-src
URIs: http://src.example.org/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main
"""
LIST = f"""\
# deb http://comment.example.org/debian bookworm main
deb [arch=amd64 signed-by={KEYS} trusted=yes] http://deb.example.org/debian bookworm main non-free # mine
deb http://security.example.org/debian-security bookworm-security main
deb-src http://src.example.org/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb http://flat.example.org/ ./
"""


def test_deb822() -> None:
    assert sources.parse_deb822(DEB822) == [
        Source("http://deb.example.org/debian", "bookworm", ("main", "contrib"), KEYS),
        Source("http://deb.example.org/debian", "bookworm-updates", ("main", "contrib"), KEYS),
        Source("http://security.example.org/debian-security", "bookworm-security", ("main",), KEYS),
    ]


def test_one_line() -> None:
    assert sources.parse_list(LIST) == [
        Source("http://deb.example.org/debian", "bookworm", ("main", "non-free"), KEYS),
        Source("http://security.example.org/debian-security", "bookworm-security", ("main",), ""),
        Source("http://flat.example.org/", "./", (), ""),
    ]


def test_another_suite_of_the_same_archive() -> None:
    known = sources.parse_deb822(DEB822)
    assert sources.for_suite(known, "trixie-backports") == (
        Source("http://deb.example.org/debian", "trixie-backports", ("main",), KEYS),
    )
    assert sources.for_suite(known, "trixie-security") == (
        Source("http://security.example.org/debian-security", "trixie-security", ("main",), KEYS),
    )


def test_a_third_party_comes_last() -> None:
    other = Source("http://other.example.org", "bookworm", ("main",), "/etc/apt/keyrings/other.gpg")
    plain = Source("http://plain.example.org/debian", "bookworm", ("main",))
    debian = Source("http://deb.example.org/debian", "bookworm", ("main",), KEYS)
    found = sources.for_suite([other, plain, debian], "sid")
    assert [source.uri for source in found] == [debian.uri, plain.uri, other.uri]


def test_what_is_not_debian_is_left_out() -> None:
    known = [
        Source("http://a.example.org", "cloud-bookworm", ("main",), KEYS),
        Source("http://b.example.org", "bookworm", ("stable",), KEYS),
        Source("http://c.example.org", "jammy", ("main",), KEYS),
    ]
    assert sources.for_suite(known, "sid", "bookworm") == ()
    assert sources.for_suite(known, "sid", "jammy") == (Source("http://c.example.org", "sid", ("main",), KEYS),)


def test_rendering_reads_back() -> None:
    source = Source("http://deb.example.org/debian", "sid", ("main",), KEYS)
    text = sources.render(source)
    assert sources.parse_deb822(text) == [source]
    assert "Architectures: amd64\nTargets: Packages\n" in text


def test_trust_is_never_copied() -> None:
    for source in (*sources.parse_deb822(DEB822), *sources.parse_list(LIST)):
        assert "rusted" not in sources.render(source)


def test_an_embedded_key() -> None:
    stanza = (
        "Types: deb\nURIs: http://deb.example.org/debian\nSuites: trixie\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = sources.parse_deb822(stanza)
    assert source.signed_by.splitlines()[:2] == ["-----BEGIN PGP PUBLIC KEY BLOCK-----", "."]
    assert sources.render(source).endswith(
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )

#!/bin/sh
# Prepare a Debian machine: packages, then the virtual environment .venv.
#
#   sh setup/install.sh             both
#   sh setup/install.sh packages    only the packages
#   sh setup/install.sh venv        only the virtual environment
#   sh setup/install.sh build-tools only the packages that building kernels needs
#
# A second run changes nothing and needs no network: dpkg-query says which packages are missing, and a stamp in .venv
# says which pyproject.toml it was made from.
#
# HARNESS_SKIP_APT=1   do not look at packages (not Debian, or installed by other means)
# PYTHON=...           the Python to use, 3.11 or newer
# VENV=...             where the virtual environment goes; default .venv beside pyproject.toml
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
venv=${VENV:-$root/.venv}
list=$here/apt-packages.txt

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$1"
    [ $# -lt 2 ] || say "  $2"
    exit 3
}

# Names of the packages in the list that are not installed.
missing_packages() {
    sed 's/#.*//' "$list" | while read -r package _; do
        [ -n "$package" ] || continue
        # ${db:Status-Status} is dpkg's own field, not a variable of the shell.
        # shellcheck disable=SC2016
        state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || state=missing
        [ "$state" = installed ] || printf '%s\n' "$package"
    done
}

install_packages() {
    [ "${HARNESS_SKIP_APT:-}" != 1 ] || return 0
    command -v dpkg-query >/dev/null 2>&1 || die 'this is not Debian: there is no dpkg-query' \
        "install what setup/${list##*/} names by other means, then: HARNESS_SKIP_APT=1 make ..."
    packages=$(missing_packages | tr '\n' ' ')
    packages=${packages% }
    [ -n "$packages" ] || return 0
    say "missing packages: $packages"

    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1; then
        as_root=sudo
        [ "${CI:-}" != true ] || as_root='sudo -n' # nobody is there to type a password
    else
        die 'installing packages needs root, and there is no sudo; run this as root, then try again:' \
            "apt-get update && apt-get install --no-install-recommends $packages"
    fi

    # Without this answer the Debian package makes every later reboot of *this* machine go through kexec.
    case " $packages " in
    *' kexec-tools '*)
        if command -v debconf-set-selections >/dev/null 2>&1; then
            echo 'kexec-tools kexec-tools/load_kexec boolean false' | $as_root debconf-set-selections ||
                say 'debconf did not take the answer for kexec-tools; it keeps its default'
        fi
        ;;
    esac

    # sudo drops the environment, so the variable goes through env. A fresh machine may still be busy with its own
    # upgrades: wait for dpkg's lock instead of failing.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 update ||
        die 'apt-get update failed; see its message above' 'check the network and /etc/apt/sources.list'
    # Word splitting is meant: one word a package.
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends $packages </dev/null ||
        die 'apt-get install failed; see its message above' "try: apt-get install --no-install-recommends $packages"
    left=$(missing_packages | tr '\n' ' ')
    [ -z "$left" ] || die "still missing after apt-get install: $left"
}

# A Python that is new enough and can make environments (Debian's needs python3-venv for that; pyenv's has it).
find_python() {
    seen=
    for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11}; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
        seen="$seen $candidate ($("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>&1 | tail -n 1))"
    done
    die "no Python 3.11 or newer with venv and ensurepip; looked at:${seen:- nothing}" \
        'Debian 12 has one: apt-get install python3-venv; or name one: PYTHON=/path/to/python3 make ...'
}

# The dependencies the environment was made from, and the place (its programs begin with an absolute path).
stamp_text() {
    printf '%s %s\n' "$(sha256sum <"$root/pyproject.toml" | cut -d ' ' -f 1)" "$venv"
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
        die "pip install $* failed; see its message above" 'check the network; behind a proxy set HTTPS_PROXY, and PIP_CERT where it has a certificate of its own'
}

make_venv() {
    stamp=$venv/.harness-stamp
    made_from=$(cat "$stamp" 2>/dev/null) || made_from=none
    if "$venv/bin/python" -c '' 2>/dev/null; then
        [ "$made_from" != "$(stamp_text)" ] || return 0
        # Only a changed pyproject.toml: bring it up to date. Elsewhere now: begin again.
        case $made_from in none | *" $venv") clear= ;; *) clear=--clear ;; esac
    else
        clear=--clear
    fi
    python=$(find_python) || exit 3
    say "preparing $venv with $python (a minute or two the first time)"
    rm -f "$stamp"
    "$python" -m venv $clear "$venv" || die "$python -m venv failed; see its message above"
    # Debian 12 brings pip 23.0, which does not know --group (pip 25.1).
    pip_install --upgrade 'pip>=25.1'
    (cd "$root" && pip_install --editable . --group dev) || exit 3
    stamp_text >"$stamp"
}

case ${1:-all} in
all)
    install_packages
    make_venv
    ;;
packages) install_packages ;;
build-tools)
    list=$here/apt-packages-build.txt
    install_packages
    ;;
venv) make_venv ;;
*) die "unknown argument '$1'" 'usage: sh setup/install.sh [packages|venv|build-tools]' ;;
esac

#!/usr/bin/env bash
# Makes .venv from requirements.lock and installs the software HSM and, for the tests, a browser.  Does nothing when all is as it should be.
#   PYTHON=/path/to/python .ci/setup.sh      use this interpreter (3.11 to 3.13)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly venv=.venv
readonly stamp=$venv/.keyquell-setup
readonly apt_packages=(softhsm2 p11-kit p11-kit-modules)
readonly browser_packages=(chromium chromium-driver)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else return 127
    fi
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    say "installing $* (apt)"
    local -a quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
    as_root "${quiet[@]}" update >&2 || say "apt-get update failed; trying with the package lists that are there"
    as_root "${quiet[@]}" install -y --no-install-recommends "$@" >&2
}

suitable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "needs Python 3.11, 3.12 or 3.13, and found none. On Debian 12+ or Ubuntu 24.04+: apt install python3 python3-venv." \
        "Another interpreter can be named: PYTHON=/path/to/python3.12 make setup"
}

install_hsm() {
    if { [ -e /usr/lib/softhsm/libsofthsm2.so ] || compgen -G '/usr/lib/*/softhsm/libsofthsm2.so' >/dev/null; } &&
        command -v p11-kit >/dev/null && compgen -G '/usr/lib/*/pkcs11/p11-kit-client.so' >/dev/null; then
        return
    fi
    apt_install "${apt_packages[@]}" && return
    die "the software HSM is missing and apt cannot install it here. Install ${apt_packages[*]} (Fedora: softhsm p11-kit-server;" \
        "Arch: softhsm p11-kit) so that /usr/lib/softhsm/libsofthsm2.so and the command p11-kit are there, then run this again."
}

install_browser() {
    if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then return; fi
    apt_install "${browser_packages[@]}" && return
    die "the tests need Chromium and ChromeDriver, and apt cannot install them here. Install both so that the commands" \
        "chromium and chromedriver are there, then run this again."
}

make_venv() {
    local python=$1 version
    if [ -x $venv/bin/python ] && suitable $venv/bin/python; then return; fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "making $venv with Python $version"
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        apt_install "python$version-venv" || apt_install python3-venv ||
            die "$python cannot make virtual environments. Install python3-venv, then run this again."
    fi
    "$python" -m venv --clear $venv
}

install_packages() {
    local pip=($venv/bin/python -m pip --disable-pip-version-check --quiet)
    say "installing the locked packages (a few minutes the first time)"
    "${pip[@]}" install --require-hashes --no-deps -r requirements.lock -r .ci/build.lock
    "${pip[@]}" install --no-deps --no-build-isolation --editable .
}

wanted() { cat requirements.lock .ci/build.lock pyproject.toml | sha256sum | cut -d' ' -f1; }

main() {
    install_hsm
    [ "${1:-}" != test ] || install_browser
    if [ -x $venv/bin/keyquell ] && suitable $venv/bin/python && [ "$(cat $stamp 2>/dev/null)" = "$(wanted)" ]; then
        return
    fi
    local python
    python=$(find_python)
    make_venv "$python"
    rm -f $stamp
    install_packages
    wanted >$stamp
    say "done"
}

main "$@"

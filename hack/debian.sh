# Sourced by the scripts that need programs of Debian's packages. In CI, root installs a missing one; otherwise, and if that fails, the
# functions print why it is missing, and fail.

get() { # program or file, Debian package
  if [ -e "$1" ] || command -v "$1" >/dev/null; then return; fi
  if [ "${CI:-}" != true ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$1 is missing: install it (on Debian: apt-get install $2)"
    return 1
  fi
  echo "installing $2, once" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends "$2"; } >&2; then
    echo "apt-get could not install $2"
    return 1
  fi
}

# get_chromium prints the path of Chromium. Chromium without windows computes a fifth less than chromium, and is taken where both are
# installed.
get_chromium() {
  command -v chromium-headless-shell || command -v chromium && return
  get chromium-headless-shell chromium-headless-shell && command -v chromium-headless-shell
}

#!/usr/bin/env bash
# Builds the documentation site from README.md and docs/ into bin/site, and tests it. It installs npm's packages into bin/docs-site, and
# node, npm and Chromium if they are missing and it may. Without node and npm it fails, and says what is missing; without Chromium it
# skips the tests that need a browser. SITE_BASE=/path/ is for a site that is not at the root of its host.
set -euo pipefail
cd "$(dirname "$0")/../.."
. hack/debian.sh
work=$PWD/bin/docs-site
oldest_node=20

fail() {
  echo "docs-site: $1" >&2
  exit 1
}

why=$(get node nodejs) || fail "$why"
why=$(get npm npm) || fail "$why"
found=$(node --print 'process.versions.node.split(".")[0]')
[ "$found" -ge "$oldest_node" ] || fail "node $oldest_node or later is needed, and node $found is installed"
chromium=$(get_chromium) || { echo "skipped: docs-site: the tests in a browser: $chromium"; chromium=; }

# The generator runs beside its packages.
mkdir -p "$work"
rm -rf "$work/theme" "$work"/*.mjs
cp -r hack/site/*.mjs hack/site/theme hack/site/package.json hack/site/package-lock.json hack/site/.npmrc "$work"
wanted=$(cat hack/site/package-lock.json)
if [ "$wanted" != "$(cat "$work/installed" 2>/dev/null)" ]; then
  rm -f "$work/installed"
  echo "docs-site: installing the packages of hack/site, once (1 to 2 minutes)" >&2
  (cd "$work" && npm ci --silent) >&2 || fail "npm could not install the packages of hack/site"
  echo "$wanted" >"$work/installed"
fi

export SITE_REPOSITORY=$PWD SITE_OUTPUT=$PWD/bin/site SITE_CHROMIUM=$chromium
export SITE_BASE=${SITE_BASE:-/}
node "$work/build.mjs"
cd "$work"
exec node --test "$@" site.test.mjs browser.test.mjs

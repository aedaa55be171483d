#!/usr/bin/env bash
# Builds the helm pinned in this module into bin/tools, once (two minutes), and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$(awk '$1 == "helm.sh/helm/v4" { print $2; exit }' go.mod)
helm="$(cd ../.. && pwd)/bin/tools/helm-$version"
if [ ! -x "$helm" ]; then
  echo "building helm $version, once (two minutes)" >&2
  mkdir -p "$(dirname "$helm")"
  GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$helm.$$" \
    -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version" helm.sh/helm/v4/cmd/helm
  mv "$helm.$$" "$helm"
fi
echo "$helm"

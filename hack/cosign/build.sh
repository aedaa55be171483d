#!/usr/bin/env bash
# Builds the cosign pinned in this module into bin/tools, once (some minutes), and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
version=$(awk '$2 == "github.com/sigstore/cosign/v3" { print $3; exit } $1 == "github.com/sigstore/cosign/v3" { print $2; exit }' go.mod)
cosign="$(cd ../.. && pwd)/bin/tools/cosign-$version"
if [ ! -x "$cosign" ]; then
  echo "building cosign $version, once (some minutes)" >&2
  mkdir -p "$(dirname "$cosign")"
  GOWORK=off CGO_ENABLED=0 go build -trimpath -o "$cosign.$$" \
    -ldflags "-s -w -X sigs.k8s.io/release-utils/version.gitVersion=$version" github.com/sigstore/cosign/v3/cmd/cosign
  mv "$cosign.$$" "$cosign"
fi
echo "$cosign"

#!/usr/bin/env bash
# Builds the cosign pinned in this module into bin/tools, once (some minutes), and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh
version=$(module_version github.com/sigstore/cosign/v3)
build_tool cosign "$version" -ldflags "-s -w -X sigs.k8s.io/release-utils/version.gitVersion=$version" github.com/sigstore/cosign/v3/cmd/cosign

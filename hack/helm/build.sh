#!/usr/bin/env bash
# Builds the helm pinned in this module into bin/tools, once (two minutes), and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh
version=$(module_version helm.sh/helm/v4)
build_tool helm "$version" -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version" helm.sh/helm/v4/cmd/helm

#!/usr/bin/env bash
# Builds the helm 3 pinned in this module into bin/tools, once, and prints its path. It shares most packages with the build of hack/helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../building.sh
version=$(module_version helm.sh/helm/v3)
# The Kubernetes that `helm template` and `helm lint` assume, as the releases of Helm set it.
minor=$(module_version k8s.io/client-go | cut -d. -f2)
assumed() { # package
  echo "-X helm.sh/helm/v3/$1.k8sVersionMajor=1 -X helm.sh/helm/v3/$1.k8sVersionMinor=$minor"
}
build_tool helm "$version" \
  -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$version $(assumed pkg/lint/rules) $(assumed pkg/chartutil)" helm.sh/helm/v3/cmd/helm

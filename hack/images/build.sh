#!/usr/bin/env bash
# Builds the container images:
#
#   hack/images/build.sh OUTDIR [PLATFORM[,PLATFORM] [VERSION]]
#
# writes the images ghcr.io/refreshkeys/manager, .../tokenserver and .../console, by default for linux/amd64 and linux/arm64 under
# the version in the file VERSION, and an SBOM (SPDX) for each platform into OUTDIR/sbom. It prints the images with their
# digests, which are the same for the same sources and version of Go. Each image, such as the manager, is written as
#
#   OUTDIR/manager                          an OCI layout with all platforms
#   OUTDIR/manager.tar                      the same as one file
#   OUTDIR/docker/manager-linux-amd64.tar   one platform, for Docker and kind
#
#   crane push OUTDIR/manager registry.example.com/manager:v0.1.0                        into your registry
#   skopeo copy --all oci:OUTDIR/manager docker://registry.example.com/manager:v0.1.0    the same
#   ctr --namespace k8s.io images import OUTDIR/manager.tar                              into a node's containerd
#   docker load --input OUTDIR/docker/manager-linux-amd64.tar                            not run here
#   kind load image-archive OUTDIR/docker/manager-linux-amd64.tar                        not run here
set -euo pipefail
out=$(realpath --canonicalize-missing "${1:?say where to: hack/images/build.sh OUTDIR [PLATFORM [VERSION]]}")
platforms=${2:-linux/amd64,linux/arm64}
version=${3:-}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

. hack/building.sh
tool=$PWD/bin/tools/images
build_own "$tool" hack/images
exec "$tool" -root . -out "$out" -version "${version:-$(<VERSION)}" -platforms "$platforms"

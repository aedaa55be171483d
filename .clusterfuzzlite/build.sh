#!/usr/bin/env bash
# Builds each fuzz target that hack/fuzz lists into $OUT, in the base image of OSS-Fuzz, whose compile_native_go_fuzzer_v2 takes the
# package, the function and the name of the program. Its first version finds a function by the beginning of its name, and so
# builds FuzzParse in place of FuzzParsePayload. The inputs in testdata/fuzz go beside a program, as its first corpus.
set -euo pipefail
: "${OUT:?is set in the base image}"
cd "${SRC:?is set in the base image}/refreshkeys"
module=$(awk '$1 == "module" { print $2; exit }' go.mod)

hack/fuzz --list | while read -r folder target; do
  folder=${folder#./}
  program=${folder//\//_}_$target
  compile_native_go_fuzzer_v2 "$module/$folder" "$target" "$program" </dev/null
  if [ -d "$folder/testdata/fuzz/$target" ]; then
    (cd "$folder/testdata/fuzz/$target" && zip --quiet --junk-paths "$OUT/${program}_seed_corpus.zip" ./*)
  fi
done

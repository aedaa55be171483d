package main

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/ko/pkg/build"
)

// TestImagesOf checks that a build for one platform, which has no index, has an archive for it as one for several platforms has.
func TestImagesOf(t *testing.T) {
	both := []string{"linux/amd64", "linux/arm64"}
	index, err := emptyBase(both)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(manifest.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		result build.Result
		want   []string
	}{
		{"several platforms", index, both},
		{"one platform", image, both[1:]},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := imagesOf(c.result)
			if err != nil {
				t.Fatal(err)
			}
			if platforms := slices.Sorted(maps.Keys(all)); !slices.Equal(platforms, c.want) {
				t.Errorf("the images are for %v, want %v", platforms, c.want)
			}
		})
	}
}

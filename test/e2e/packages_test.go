package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/refreshkeys/refreshkeys/test/framework/isolation"
)

// TestMissingPackages checks that one run names all packages that a machine lacks.
func TestMissingPackages(t *testing.T) {
	all := []string{"ip", "nft", "mount", "gcc", "stdlib.h", "pkg-config", "libseccomp"}
	for name, c := range map[string]struct {
		has       []string
		runcBuilt bool
		want      string
	}{
		"a bare machine":                   {nil, false, "iproute2 nftables mount gcc libc6-dev pkg-config libseccomp-dev"},
		"a bare machine with a built runc": {nil, true, "iproute2 nftables mount"},
		"a machine with all":               {all, false, ""},
		"no C compiler":                    {[]string{"ip", "nft", "mount", "pkg-config", "libseccomp"}, false, "gcc libc6-dev"},
		"no headers of libseccomp":         {all[:6], false, "libseccomp-dev"},
		"neither nftables nor pkg-config":  {[]string{"ip", "mount", "gcc", "stdlib.h"}, false, "nftables pkg-config libseccomp-dev"},
	} {
		t.Run(name, func(t *testing.T) {
			has := func(name string) bool { return slices.Contains(c.has, name) }
			missing := missingPackages(lookups{program: has, header: has, library: has}, "gcc", c.runcBuilt)
			if got := strings.Join(missing, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			err := packagesError(missing)
			if (c.want == "") != (err == nil) {
				t.Fatalf("error %v", err)
			}
			if err != nil && (!errors.Is(err, isolation.ErrUnavailable) || !strings.HasSuffix(err.Error(), ": apt-get install "+c.want)) {
				t.Errorf("the error names no command that installs them: %v", err)
			}
		})
	}
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
	"github.com/refreshkeys/refreshkeys/test/framework/isolation"
)

// lookups report whether this machine has a program, a C header or a C library.
type lookups struct{ program, header, library func(name string) bool }

// missingPackages returns the Debian packages that the run needs and the machine lacks. What builds runc is needed only until
// runc is built.
func missingPackages(has lookups, compiler string, runcBuilt bool) (missing []string) {
	need := func(found bool, name string) {
		if !found {
			missing = append(missing, name)
		}
	}
	need(has.program("ip"), "iproute2")
	need(has.program("nft"), "nftables")
	need(has.program("mount"), "mount")
	if runcBuilt {
		return missing
	}
	// runc is partly C, and filters system calls with libseccomp: without it, the kubelet refuses every pod that meets
	// Pod Security `restricted`.
	need(has.program(compiler), "gcc")
	need(has.header("stdlib.h"), "libc6-dev")
	need(has.program("pkg-config"), "pkg-config")
	need(has.library("libseccomp"), "libseccomp-dev")
	return missing
}

// checkPackages returns an error that names all missing packages and the command that installs them.
func checkPackages(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	compiler := cmp.Or(os.Getenv("CC"), "gcc")
	succeeds := func(command ...string) bool { return exec.CommandContext(ctx, command[0], command[1:]...).Run() == nil }
	return packagesError(missingPackages(lookups{
		program: func(name string) bool {
			_, err := exec.LookPath(name)
			return err == nil
		},
		header: func(name string) bool {
			return succeeds(compiler, "-include", name, "-fsyntax-only", "-x", "c", os.DevNull)
		},
		library: func(name string) bool { return succeeds("pkg-config", "--exists", name) },
	}, compiler, runcBuilt(ctx)))
}

func runcBuilt(ctx context.Context) bool {
	root, err := cluster.RepositoryRoot()
	if err != nil {
		return false
	}
	folder, err := nodeFolder(ctx, root)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(folder, "runc"))
	return err == nil
}

// packagesError returns nil if no package is missing.
func packagesError(missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: packages are missing; on Debian, install them with: apt-get install %s", isolation.ErrUnavailable, strings.Join(missing, " "))
}

package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// probe tests, isolated, whether the kernel supports a node.
func probe() error {
	for _, try := range []struct{ command, module string }{
		{"ip link add probe type veth peer name eborp", "veth"},
		{"nft add table ip probe", "nf_tables"},
		{"nft add chain ip probe to { type nat hook prerouting priority -100 ; }", "nft_nat"},
	} {
		words := strings.Fields(try.command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s (the kernel needs %s)", try.command, err, strings.TrimSpace(string(out)), try.module)
		}
	}
	return nil
}

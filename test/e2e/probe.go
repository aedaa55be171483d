package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// probe tests, isolated, whether the kernel and the machine's programs support a node.
func probe() error {
	for _, try := range []struct{ command, install string }{
		{"ip link add probe type veth peer name eborp", "apt-get install iproute2; the kernel needs veth"},
		{"nft add table ip probe", "apt-get install nftables; the kernel needs nf_tables"},
		{"nft add chain ip probe to { type nat hook prerouting priority -100 ; }", "the kernel needs nft_nat"},
		{"mount --version", "apt-get install mount"},
	} {
		words := strings.Fields(try.command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s (%s)", try.command, err, strings.TrimSpace(string(out)), try.install)
		}
	}
	return nil
}

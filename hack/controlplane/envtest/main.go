// Command envtest downloads etcd, kube-apiserver and kubectl as setup-envtest does: from the index of controller-tools, or from one
// of the same format. It prints the version that it has stored. If there is nothing to download, it prints the reason and exits
// with status 1: build.sh then builds the programs from their modules. It warns of an archive whose checksum is wrong.
//
//	envtest -version v1.37.2 -into ../../../bin/k8s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sigs.k8s.io/controller-runtime/tools/setup-envtest/remote"
)

// indexVariable names the environment variable with the URL of another index.
const indexVariable = "ENVTEST_INDEX_URL"

func main() {
	version := flag.String("version", "", "the version of Kubernetes; an archive of another patch of the same minor version fits too")
	into := flag.String("into", "", "the folder in which a folder for the version is created")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	stored, err := fetch(ctx, source{index: indexURL()}, *version, *into)
	stop()
	if errors.Is(err, errRefused) {
		fmt.Fprintln(os.Stderr, "control plane: warning:", err)
	}
	if err != nil {
		fmt.Println(reason(err))
		os.Exit(1)
	}
	fmt.Println(stored)
}

// indexURL returns the URL of the index: that of the environment, or else that of setup-envtest.
func indexURL() string {
	if url := os.Getenv(indexVariable); url != "" {
		return url
	}
	return remote.DefaultIndexURL
}

// reason returns an error as one line.
func reason(err error) string {
	if errors.Is(err, errRefused) {
		return errRefused.Error()
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

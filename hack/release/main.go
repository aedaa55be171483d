// Command release makes a release, and its parts:
//
//	release build   -root DIR -out DIR -version v0.2.0   builds all files, SBOMs, provenance, notes and checksums
//	release sign    -dir DIR -key FILE                   signs the checksums and the provenance
//	release publish -dir DIR -registry HOST/PATH -key FILE   pushes images and chart, and their signatures
//	release verify  -dir DIR -key FILE [-registry HOST/PATH]  checks all of that
//
// docs/releasing.md describes them. A release is signed in the formats of cosign, which verifies it too.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run runs one command.
func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("say what to do: build, sign, publish or verify")
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the release")
	key := flags.String("key", "", "the private key to sign with, or the public key to verify with")
	registry := flags.String("registry", "", "where images and chart are, such as ghcr.io/refreshkeys")
	options := buildOptions{}
	flags.StringVar(&options.root, "root", ".", "the checkout")
	flags.StringVar(&options.out, "out", "", "the folder to write")
	flags.StringVar(&options.version, "version", "", "the version, such as v0.2.0")
	flags.BoolVar(&options.rehearsal, "rehearsal", false, "allow a checkout with changes")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	switch arguments[0] {
	case "build":
		return build(ctx, options)
	case "sign":
		return signFolder(*dir, *key)
	case "publish":
		return publish(ctx, *dir, *registry, *key)
	case "verify":
		if err := verifyFolder(*dir, *key); err != nil {
			return err
		}
		if *registry == "" {
			return nil
		}
		return verifyPublished(ctx, *dir, *registry, *key)
	default:
		return fmt.Errorf("%q is not build, sign, publish or verify", arguments[0])
	}
}

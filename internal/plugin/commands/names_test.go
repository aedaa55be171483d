package commands

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// TestNames checks which arguments name a refresh key and which an issuer.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		of       *resource
		argument string
		name     string // empty for a usage error
	}{
		{&keyResource, "orders", "orders"},
		{&keyResource, "jrk/orders", "orders"},
		{&keyResource, "jwtrefreshkey/orders", "orders"},
		{&keyResource, "JWTRefreshKey/orders", "orders"},
		{&keyResource, "jwtrefreshkeys/orders", "orders"},
		{&keyResource, "jwtrefreshkey.jwt.refreshkeys.dev/orders", "orders"},
		{&keyResource, "jwtrefreshkeys.v1alpha1.jwt.refreshkeys.dev/orders", "orders"},
		{&keyResource, "secret/orders", ""},
		{&keyResource, "jwtissuer/default", ""},
		{&keyResource, "jwtrefreshkey.example.com/orders", ""},
		{&keyResource, "jrk/", ""},
		{&keyResource, "jrk/shop/orders", ""},
		{&keyResource, "", ""},
		{&issuerResource, "default", "default"},
		{&issuerResource, "jwtissuer/default", "default"},
		{&issuerResource, "jwtiss/default", "default"},
		{&issuerResource, "jwtissuers.jwt.refreshkeys.dev/default", "default"},
		{&issuerResource, "jrk/orders", ""},
	} {
		name, err := c.of.name(c.argument)
		if name != c.name || (err != nil) != (c.name == "") || err != nil && cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%s %q: %q, %v, want %q", c.of.kind, c.argument, name, err, c.name)
		}
	}
	if names, err := keyResource.names([]string{"a", "jrk/b", "jwtrefreshkey/a"}); err != nil || !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("%v, %v", names, err)
	}
}

// TestEach checks that one failure stops neither the other names nor hides its exit code.
func TestEach(t *testing.T) {
	c := &app{cli.New(cli.Options{IOStreams: genericiooptions.IOStreams{ErrOut: io.Discard}})}
	var done []string
	fail := func(name string) error {
		done = append(done, name)
		if name == "b" {
			return cli.Fail(cli.ExitNotFound, "b does not exist")
		}
		return nil
	}
	if err := c.each(t.Context(), []string{"a", "b", "c"}, fail); cli.ExitCode(err) != cli.ExitNotFound || !errors.Is(err, cli.ErrSilent) || len(done) != 3 {
		t.Errorf("%v after %v", err, done)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if done = nil; c.each(ctx, []string{"a", "b"}, fail) != nil || len(done) != 1 {
		t.Errorf("a cancelled run went on: %v", done)
	}
}

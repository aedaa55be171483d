package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// resource is a kind as it is written before the name of an object.
type resource struct {
	kind, plural, singular, short string
}

// The resources of the plugin.
var (
	keyResource    = resource{kind: keyKind, plural: "jwtrefreshkeys", singular: "jwtrefreshkey", short: "jrk"}
	issuerResource = resource{kind: issuerKind, plural: "jwtissuers", singular: "jwtissuer", short: "jwtiss"}
)

// named reports whether a word names the resource, as kubectl accepts it: by its plural, its singular or its short name, alone or with
// the group, also with the version before the group.
func (r *resource) named(word string) bool {
	word = strings.ToLower(word)
	name, group, qualified := strings.Cut(word, ".")
	if qualified && group != v1alpha1.Group && group != v1alpha1.GroupVersion.Version+"."+v1alpha1.Group {
		return false
	}
	return slices.Contains([]string{r.plural, r.singular, r.short}, name)
}

// name returns the name of the object that an argument means: NAME, or kind/NAME, such as -o name prints it.
func (r *resource) name(argument string) (string, error) {
	kind, name, written := strings.Cut(argument, "/")
	switch {
	case !written && argument != "":
		return argument, nil
	case name == "" || strings.Contains(name, "/"):
		return "", cli.UsageError("%q is no name of a %s: write NAME or %s/NAME", argument, r.kind, r.singular)
	case !r.named(kind):
		return "", cli.UsageError("%q is no %s: the command takes NAME or %s/NAME", argument, r.kind, r.singular)
	}
	return name, nil
}

// names returns the names of the objects that the arguments mean, each once.
func (r *resource) names(arguments []string) ([]string, error) {
	var names []string
	for _, argument := range arguments {
		name, err := r.name(argument)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// each calls do for every name, also after one that fails. With one name, it returns that error. With several, it prints the errors, and
// returns one that carries the exit code of the first. It ends early once ctx is done.
func (c *app) each(ctx context.Context, names []string, do func(name string) error) error {
	var first error
	for _, name := range names {
		err := do(name)
		if err != nil && len(names) == 1 {
			return err
		}
		if err != nil {
			c.complain(err)
			if first == nil {
				first = cli.ExitOnly(cli.ExitCode(err))
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// first returns the first of the errors of two steps. If both failed, it prints the second one, since the first was printed already.
func (c *app) first(one, two error) error {
	if one == nil {
		return two
	}
	if two != nil {
		c.complain(two)
	}
	return one
}

// complain prints an error, unless it was printed already.
func (c *app) complain(err error) {
	if !errors.Is(err, cli.ErrSilent) {
		fmt.Fprintf(c.ErrOut, "error: %v\n", err)
	}
}

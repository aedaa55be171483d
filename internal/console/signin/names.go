package signin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"k8s.io/client-go/rest"
)

// systemPrefix begins the names of the cluster's own users and groups. The API server itself refuses only some of them under
// impersonation.
const systemPrefix = "system:"

// longestName is the longest name of a person or a group, in bytes, and mostGroups how many a person may have: they are headers of
// each request.
const (
	longestName = 256
	mostGroups  = 200
)

// impersonated returns the names of a person for the API server.
func (c *Config) impersonated(claims map[string]json.RawMessage) (rest.ImpersonationConfig, error) {
	var name string
	if err := json.Unmarshal(claims[c.UsernameClaim], &name); err != nil {
		return rest.ImpersonationConfig{}, fmt.Errorf("the claim %s is not a text", c.UsernameClaim)
	}
	as := rest.ImpersonationConfig{}
	var err error
	if as.UserName, err = allowed(*c.UsernamePrefix, name); err != nil {
		return as, fmt.Errorf("the claim %s %w", c.UsernameClaim, err)
	}
	groups, err := textsOf(claims[c.GroupsClaim])
	if err != nil || len(groups) > mostGroups {
		return as, fmt.Errorf("the claim %s is not a list of at most %d texts", c.GroupsClaim, mostGroups)
	}
	for _, group := range groups {
		full, err := allowed(*c.GroupsPrefix, group)
		if err != nil {
			return as, fmt.Errorf("a group of the claim %s %w", c.GroupsClaim, err)
		}
		as.Groups = append(as.Groups, full)
	}
	return as, nil
}

// allowed returns a name with its prefix. It is refused if it is empty, or one of the cluster itself. Spaces at its ends are
// refused, too: an HTTP server removes those of a header, so that " system:masters" would become another name.
func allowed(prefix, name string) (string, error) {
	full := prefix + name
	switch {
	case name == "":
		return "", errors.New("is empty")
	case strings.HasPrefix(full, systemPrefix):
		return "", fmt.Errorf("begins with %q", systemPrefix)
	case strings.TrimSpace(full) != full || strings.ContainsFunc(full, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", errors.New("has characters that no name may have")
	case len(full) > longestName:
		return "", fmt.Errorf("is longer than %d bytes", longestName)
	}
	return full, nil
}

// textsOf returns the values of a claim that is a text or a list of texts; none if it is absent.
func textsOf(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		return []string{one}, nil
	}
	var all []string
	return all, json.Unmarshal(raw, &all)
}

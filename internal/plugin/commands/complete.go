package commands

import (
	"context"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// completionTimeout is the longest time that a completion takes.
const completionTimeout = 5 * time.Second

// noFiles ends a completion that offers no names of files.
const noFiles = cobra.ShellCompDirectiveNoFileComp

// names returns a completion of the first argument with names from the cluster. After any error it offers nothing.
func (c *app) names(list func(context.Context, *cluster) ([]string, error)) cobra.CompletionFunc {
	several := c.severalNames(nil, list)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, noFiles
		}
		return several(cmd, nil, toComplete)
	}
}

// severalNames returns a completion of any number of arguments with names from the cluster, without those that are written already. A
// word that begins with kind/ is completed to kind/name if of is set.
func (c *app) severalNames(of *resource, list func(context.Context, *cluster) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		kind, _, written := strings.Cut(toComplete, "/")
		prefix := ""
		if written && of != nil && of.named(kind) {
			prefix = kind + "/"
		}
		k, err := c.connect()
		if err != nil {
			return nil, noFiles
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		found, err := list(ctx, k)
		if err != nil {
			return nil, noFiles
		}
		var offered []string
		for _, name := range found {
			if name = prefix + name; strings.HasPrefix(name, toComplete) && !slices.Contains(args, name) {
				offered = append(offered, name)
			}
		}
		return offered, noFiles
	}
}

// keyNames returns the names of the keys in the namespace.
func keyNames(ctx context.Context, k *cluster) (found []string, err error) {
	var list v1alpha1.JWTRefreshKeyList
	err = k.List(ctx, &list, client.InNamespace(k.namespace))
	for i := range list.Items {
		found = append(found, list.Items[i].Name)
	}
	return found, err
}

// issuerNames returns the names of all issuers.
func issuerNames(ctx context.Context, k *cluster) (found []string, err error) {
	var list v1alpha1.JWTIssuerList
	err = k.List(ctx, &list)
	for i := range list.Items {
		found = append(found, list.Items[i].Name)
	}
	return found, err
}

// completeKeys completes the name of one key.
func (c *app) completeKeys(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return c.completeSeveralKeys(cmd, args, toComplete)
}

// completeSeveralKeys completes the names of keys.
func (c *app) completeSeveralKeys(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.severalNames(&keyResource, keyNames)(cmd, args, toComplete)
}

// completeIssuers completes the name of one issuer.
func (c *app) completeIssuers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return c.completeSeveralIssuers(cmd, args, toComplete)
}

// completeSeveralIssuers completes the names of issuers.
func (c *app) completeSeveralIssuers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.severalNames(&issuerResource, issuerNames)(cmd, args, toComplete)
}

// completeNamespaces completes the name of a namespace.
func (c *app) completeNamespaces(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		list, err := k.clients.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, nil
	})(cmd, args, toComplete)
}

// completeAccounts completes a ServiceAccount, written namespace/name, or its name in the namespace.
func (c *app) completeAccounts(qualified bool) cobra.CompletionFunc {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		namespace := k.namespace
		if qualified {
			namespace = ""
		}
		list, err := k.clients.CoreV1().ServiceAccounts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			name := list.Items[i].Name
			if qualified {
				name = list.Items[i].Namespace + "/" + name
			}
			found = append(found, name)
		}
		return found, nil
	})
}

// completeSessions completes the name of a stored session.
func (c *app) completeSessions(_ *cobra.Command, args []string, toComplete string) (found []string, _ cobra.ShellCompDirective) {
	file, err := c.sessionFile("default")
	if err != nil || len(args) > 0 {
		return nil, noFiles
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*.json"))
	if err != nil {
		return nil, noFiles
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); strings.HasPrefix(name, toComplete) {
			found = append(found, name)
		}
	}
	return found, noFiles
}

// completeList completes the last word of a list that is separated by commas.
func completeList(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, toComplete string) (offered []string, _ cobra.ShellCompDirective) {
		begin := strings.LastIndex(toComplete, ",") + 1
		for _, word := range words {
			if strings.HasPrefix(strings.ToLower(word), strings.ToLower(toComplete[begin:])) {
				offered = append(offered, toComplete[:begin]+word)
			}
		}
		return offered, noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

// nothing offers no values: a text that the user makes up.
func nothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, noFiles
}

// fromConfig returns a completion with names of the kubeconfig.
func (c *app) fromConfig(names func(*clientcmdapi.Config) iter.Seq[string]) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, toComplete string) (found []string, _ cobra.ShellCompDirective) {
		raw, err := c.Flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, noFiles
		}
		for name := range names(&raw) {
			if strings.HasPrefix(name, toComplete) {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		return found, noFiles
	}
}

// completeFlags registers the completion of the flags that all commands share, and of the texts of all commands that only the user knows.
func (c *app) completeFlags(root *cobra.Command) {
	completeFlag(root, "namespace", c.completeNamespaces)
	completeFlag(root, "context", c.fromConfig(func(k *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(k.Contexts) }))
	completeFlag(root, "cluster", c.fromConfig(func(k *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(k.Clusters) }))
	completeFlag(root, "user", c.fromConfig(func(k *clientcmdapi.Config) iter.Seq[string] { return maps.Keys(k.AuthInfos) }))
	completeFlag(root, "v", cobra.FixedCompletions([]string{
		"0\tno requests", strconv.Itoa(cli.LevelRequests) + "\trequests", strconv.Itoa(cli.LevelHeaders) + "\trequests and headers",
	}, noFiles))
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, flags := range []*pflag.FlagSet{cmd.LocalNonPersistentFlags(), cmd.PersistentFlags()} {
			flags.VisitAll(func(flag *pflag.Flag) {
				if freeText[flag.Name] {
					if _, set := cmd.GetFlagCompletionFunc(flag.Name); !set {
						completeFlag(cmd, flag.Name, nothing)
					}
				}
			})
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(root)
}

// freeText are the flags with texts that only the user knows.
var freeText = map[string]bool{
	"access-token-lifetime": true, "as": true, "as-group": true, "as-uid": true, "as-user-extra": true, "audience": true,
	"binding-jwk-thumbprint": true, "claim": true, "client": true, "device-id": true, "expires-at": true, "expiring-within": true,
	"idle-timeout": true, "issuer-url": true, "lifetime": true, "login-hint": true, "port": true, "proxy-url": true, "replica": true,
	"request-timeout": true, "scope": true, "secret": true, "selector": true, "server": true, "subject": true, "timeout": true,
	"tls-server-name": true, "token": true, "token-endpoint": true, "unused-for": true, "url": true, "username": true,
}

// completeFlag registers the completion of one flag's value, which ignores the arguments.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	// This fails only for flags that do not exist.
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, toComplete)
	})
}

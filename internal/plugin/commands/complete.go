package commands

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
)

// completionTimeout is the longest time that a completion takes.
const completionTimeout = 5 * time.Second

// names returns a completion of the first argument with names from the cluster. After any error it offers nothing.
func (c *app) names(list func(context.Context, *cluster) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		k, err := c.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		found, err := list(ctx, k)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found = slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, toComplete) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *app) completeKeys(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		var list v1alpha1.JWTRefreshKeyList
		err = k.List(ctx, &list, client.InNamespace(k.namespace))
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, err
	})(cmd, args, toComplete)
}

func (c *app) completeIssuers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		var list v1alpha1.JWTIssuerList
		err = k.List(ctx, &list)
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, err
	})(cmd, args, toComplete)
}

// completeFlags registers the completion of the flags that all commands share.
func (c *app) completeFlags(root *cobra.Command) {
	namespaces := func(ctx context.Context, k *cluster) (found []string, err error) {
		list, err := k.clients.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, nil
	}
	contexts := func(_ *cobra.Command, _ []string, toComplete string) (found []string, _ cobra.ShellCompDirective) {
		raw, err := c.Flags.ToRawKubeConfigLoader().RawConfig()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for name := range raw.Contexts {
			if strings.HasPrefix(name, toComplete) {
				found = append(found, name)
			}
		}
		slices.Sort(found)
		return found, cobra.ShellCompDirectiveNoFileComp
	}
	// These fail only for flags that do not exist.
	_ = root.RegisterFlagCompletionFunc("namespace", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return c.names(namespaces)(cmd, nil, toComplete)
	})
	_ = root.RegisterFlagCompletionFunc("context", contexts)
}

// completeFlag registers the completion of one flag's value, which ignores the arguments.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, toComplete)
	})
}

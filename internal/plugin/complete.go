package plugin

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

// completeFor is how long somebody who pressed tab waits at most.
const completeFor = 5 * time.Second

// names completes the first argument by names out of the cluster. Whatever fails there, nothing is offered.
func (c *cli) names(list func(context.Context, *cluster) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		k, err := c.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeFor)
		defer cancel()
		found, err := list(ctx, k)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found = slices.DeleteFunc(found, func(name string) bool { return !strings.HasPrefix(name, toComplete) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cli) completeKeys(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		var list v1alpha1.JWTRefreshKeyList
		err = k.List(ctx, &list, client.InNamespace(k.namespace))
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, err
	})(cmd, args, toComplete)
}

func (c *cli) completeIssuers(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	return c.names(func(ctx context.Context, k *cluster) (found []string, err error) {
		var list v1alpha1.JWTIssuerList
		err = k.List(ctx, &list)
		for i := range list.Items {
			found = append(found, list.Items[i].Name)
		}
		return found, err
	})(cmd, args, toComplete)
}

// completeFlags completes what all commands have in common.
func (c *cli) completeFlags(root *cobra.Command) {
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
		raw, err := c.flags.ToRawKubeConfigLoader().RawConfig()
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
	// They can only fail for flags that are not there.
	_ = root.RegisterFlagCompletionFunc("namespace", func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return c.names(namespaces)(cmd, nil, toComplete)
	})
	_ = root.RegisterFlagCompletionFunc("context", contexts)
}

// completeFlag completes the value of one flag by names out of the cluster, or by those that are fixed.
func completeFlag(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, toComplete)
	})
}

package commands

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) logoutCommand() *cobra.Command {
	caFile, forget := "", false
	cmd := &cobra.Command{
		Use: "logout [SESSION]", Short: "End a session at the token service and delete its tokens",
		Args: cli.Arguments(0, 1, "the name of one session, or none for default"), ValidArgsFunction: c.completeSessions,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "default"
			if len(args) > 0 {
				name = args[0]
			}
			return c.logout(cmd.Context(), name, caFile, forget)
		},
	}
	cmd.Flags().StringVar(&caFile, "ca-file", "", "a PEM file with the CA certificate of the token service; if not set, the one that login stored")
	cmd.Flags().BoolVar(&forget, "forget", false, "delete the tokens even if the token service is unavailable; the session then stays active until it expires")
	return cmd
}

func (c *app) logout(ctx context.Context, name, caFile string, forget bool) error {
	err := c.withSession(name, "signing out", func(file string) error {
		s, err := loadSession(file)
		if err == nil {
			client, wrong := c.httpClient(caFile, []byte(s.CA))
			if wrong != nil {
				return wrong
			}
			err = s.end(ctx, client)
		}
		if err != nil && !forget {
			return fmt.Errorf("the session could not be ended, and its tokens are kept (--forget deletes them anyway): %w", err)
		}
		return os.Remove(file)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "signed out; session %s is deleted\n", name)
	return nil
}

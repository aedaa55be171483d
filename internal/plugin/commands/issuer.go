package commands

import (
	"github.com/spf13/cobra"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/lifecycle"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

func (c *app) issuerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "issuer", Short: "Manage the signing keys of an issuer: list, rotate and withdraw them",
		Args: cli.Arguments(0, 0, "one of keys, rotate and withdraw"),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.issuerKeysCommand(), c.issuerRotateCommand(), c.issuerWithdrawCommand())
	return cmd
}

// issuerArguments returns the issuers that the arguments name, or the default issuer.
func issuerArguments(args []string) ([]string, error) {
	if len(args) == 0 {
		return []string{lifecycle.DefaultIssuer}, nil
	}
	return issuerResource.names(args)
}

func issuerName(issuer *v1alpha1.JWTIssuer) string {
	return "jwtissuer." + v1alpha1.Group + "/" + issuer.Name
}

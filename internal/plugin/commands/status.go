package commands

import (
	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// statusCell returns a key's status in its colour.
func statusCell(status string) cli.Cell {
	switch status {
	case v1alpha1.ReasonIssued:
		return cli.Painted(status, cli.Green)
	case v1alpha1.ReasonRevoked, v1alpha1.ReasonExpired:
		return cli.Painted(status, cli.Faint)
	case "Pending", "Deleting", v1alpha1.ReasonIssuing, v1alpha1.ReasonOverlapPending, v1alpha1.ReasonWaitingForSecret:
		return cli.Painted(status, cli.Yellow)
	default:
		return cli.Painted(status, cli.Red)
	}
}

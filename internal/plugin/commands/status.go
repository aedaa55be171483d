package commands

import (
	"github.com/refreshkeys/refreshkeys/internal/outlook"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

// statusCell returns a key's status in its colour.
func statusCell(status string) cli.Cell {
	switch outlook.ToneOf(status) {
	case outlook.Good:
		return cli.Painted(status, cli.Green)
	case outlook.Off:
		return cli.Painted(status, cli.Faint)
	case outlook.Wait:
		return cli.Painted(status, cli.Yellow)
	default:
		return cli.Painted(status, cli.Red)
	}
}

package cli

import (
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	// helpWidth is the number of columns of a help text.
	helpWidth = 100
	// flagWidth is the width for pflag, which lets the last word of a line exceed that by up to five columns.
	flagWidth = helpWidth - 5
)

const usageTemplate = `{{if or .Runnable .HasAvailableSubCommands}}Usage:{{end}}{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} [command]{{end}}{{if gt (len .Aliases) 0}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Available Commands:{{range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
{{commandLine .}}{{end}}{{end}}{{end}}{{with ownFlags .}}

Flags:
{{.}}{{end}}{{if .HasHelpSubCommands}}

Additional help topics:{{range .Commands}}{{if .IsAdditionalHelpTopicCommand}}
{{commandLine .}}{{end}}{{end}}{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} [command] --help" for more information about a command.{{end}}

Use "{{.Root.CommandPath}} options" for a list of the flags of all commands.
`

// UseHelp makes a root command and all below it print help of at most helpWidth columns, without the flags of all commands.
func UseHelp(root *cobra.Command) {
	addFunctions()
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := cmd.Long
		if text == "" {
			text = cmd.Short
		}
		cmd.Print(Wrap(strings.TrimSpace(text), helpWidth) + "\n\n" + strings.TrimLeft(cmd.UsageString(), "\n"))
	})
}

// addFunctions adds what the template calls. The functions of templates are one map for the process.
var addFunctions = sync.OnceFunc(func() {
	cobra.AddTemplateFunc("ownFlags", ownFlags)
	cobra.AddTemplateFunc("commandLine", commandLine)
})

// ownFlags returns the help of a command's flags without those of all commands.
func ownFlags(cmd *cobra.Command) string {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = true
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	all := cmd.Root().PersistentFlags()
	for _, flags := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		flags.VisitAll(func(flag *pflag.Flag) {
			if all.Lookup(flag.Name) == nil {
				own.AddFlag(flag)
			}
		})
	}
	return strings.TrimRight(own.FlagUsagesWrapped(flagWidth), "\n")
}

// commandLine returns the line of a command in the list of its parent, wrapped below its description.
func commandLine(cmd *cobra.Command) string {
	// The longest name of the siblings sets the column.
	begin := "  " + cmd.Name() + strings.Repeat(" ", cmd.NamePadding()-len(cmd.Name())) + " "
	lines := strings.Split(Wrap(cmd.Short, helpWidth-len(begin)), "\n")
	return begin + strings.Join(lines, "\n"+strings.Repeat(" ", len(begin)))
}

// OptionsCommand returns the command that lists the flags of all commands, as `kubectl options` does.
func OptionsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "options", Short: "List the flags that all commands take",
		Args: Arguments(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Printf("These flags can be set for every command:\n\n%s", cmd.Root().PersistentFlags().FlagUsagesWrapped(flagWidth))
			return nil
		},
	}
}

// Wrap breaks a text at spaces so that no line has more than width columns, except for words that are longer. Lines that begin with a
// space, a tab or # and empty lines stay as they are; other lines that follow each other are one paragraph.
func Wrap(text string, width int) string {
	var out []string
	line := ""
	flush := func() {
		if line != "" {
			out = append(out, line)
			line = ""
		}
	}
	for _, given := range strings.Split(text, "\n") {
		if given == "" || strings.ContainsAny(given[:1], " \t#") {
			flush()
			out = append(out, given)
			continue
		}
		for _, word := range strings.Fields(given) {
			if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
				flush()
			}
			if line != "" {
				line += " "
			}
			line += word
		}
	}
	flush()
	return strings.Join(out, "\n")
}

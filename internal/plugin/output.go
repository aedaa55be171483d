package plugin

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// output is the flag -o with its relatives, as kubectl has them.
type output struct {
	flags *genericclioptions.PrintFlags
	// wide is for tables with more columns.
	wide bool
	// documents are the formats of what is no object of the API, which kubectl's printers do not take.
	documents []string
}

// newOutput prints objects, in words by default; done is the operation that kubectl puts behind the name.
func newOutput(done string) *output {
	return &output{flags: genericclioptions.NewPrintFlags(done)}
}

// newDocument is output for what is no object of the API: json, yaml and what else is named.
func newDocument(more ...string) *output {
	flags := genericclioptions.NewPrintFlags("")
	flags.NamePrintFlags, flags.TemplatePrinterFlags, flags.JSONYamlPrintFlags = nil, nil, nil
	return &output{flags: flags, documents: append([]string{"json", "yaml"}, more...)}
}

func (o *output) add(cmd *cobra.Command) {
	o.flags.AddFlags(cmd)
	flag := cmd.Flags().Lookup("output")
	formats := o.formats()
	flag.Usage = "output format: " + strings.Join(formats, ", ")
	// It can only fail for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

func (o *output) formats() []string {
	formats := slices.Clone(o.documents)
	if formats == nil {
		formats = o.flags.AllowedFormats()
	}
	if o.wide {
		formats = append(formats, "wide")
	}
	slices.Sort(formats)
	return formats
}

// words tells whether people read it.
func (o *output) words() bool { return *o.flags.OutputFormat == "" || o.isWide() }

func (o *output) isWide() bool { return o.wide && *o.flags.OutputFormat == "wide" }

// check refuses a format that does not exist, before anything is done.
func (o *output) check() error {
	if o.words() {
		return nil
	}
	known := slices.Contains(o.formats(), *o.flags.OutputFormat)
	if o.documents != nil && known {
		return nil
	}
	if !known && (o.documents != nil || !strings.Contains(*o.flags.OutputFormat, "=")) {
		return usageError("unknown output format %q: use one of %s", *o.flags.OutputFormat, strings.Join(o.formats(), ", "))
	}
	_, err := o.flags.ToPrinter()
	if err != nil {
		return usageError("%v", err)
	}
	return nil
}

// print prints an object in the format that is asked for, which kubectl's own printers know.
func (o *output) print(c *cli, object runtime.Object) error {
	printer, err := o.flags.ToPrinter()
	if err != nil {
		return usageError("%v", err)
	}
	return printer.PrintObj(object, c.Out)
}

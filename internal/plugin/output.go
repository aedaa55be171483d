package plugin

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// output holds the flag -o and the related flags, as in kubectl.
type output struct {
	flags *genericclioptions.PrintFlags
	// wide reports whether -o wide, a table with more columns, is allowed.
	wide bool
	// documents are the formats of values that are not API objects and that kubectl's printers do not support.
	documents []string
}

// newOutput returns the output of API objects, which is text by default; done is the operation that kubectl's
// printer appends to the name.
func newOutput(done string) *output {
	return &output{flags: genericclioptions.NewPrintFlags(done)}
}

// newDocument returns the output of values that are not API objects, in json, yaml and the formats in more.
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
	// This fails only for a flag that does not exist.
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

// isText reports whether the output is text for people.
func (o *output) isText() bool { return *o.flags.OutputFormat == "" || o.isWide() }

func (o *output) isWide() bool { return o.wide && *o.flags.OutputFormat == "wide" }

// check returns a usage error for an unknown format.
func (o *output) check() error {
	if o.isText() {
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

// print prints an API object in the requested format, with kubectl's printers.
func (o *output) print(c *cli, object runtime.Object) error {
	printer, err := o.flags.ToPrinter()
	if err != nil {
		return usageError("%v", err)
	}
	return printer.PrintObj(object, c.Out)
}

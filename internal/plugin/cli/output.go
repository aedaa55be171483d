package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// Output holds the flag -o and the related flags, as in kubectl.
type Output struct {
	flags *genericclioptions.PrintFlags
	// printer is that of the requested format. It separates the documents of several objects.
	printer printers.ResourcePrinter
	// Wide reports whether -o wide, a table with more columns, is allowed.
	Wide bool
	// documents are the formats of values that are not API objects and that kubectl's printers do not support.
	documents []string
}

// NewOutput returns the output of API objects, which is text by default; done is the operation that kubectl's
// printer appends to the name.
func NewOutput(done string) *Output {
	return &Output{flags: genericclioptions.NewPrintFlags(done)}
}

// NewDocument returns the output of values that are not API objects, in json, yaml and the formats in more.
func NewDocument(more ...string) *Output {
	flags := genericclioptions.NewPrintFlags("")
	flags.NamePrintFlags, flags.TemplatePrinterFlags, flags.JSONYamlPrintFlags = nil, nil, nil
	return &Output{flags: flags, documents: append([]string{"json", "yaml"}, more...)}
}

// Add adds the flags to a command.
func (o *Output) Add(cmd *cobra.Command) {
	o.flags.AddFlags(cmd)
	flag := cmd.Flags().Lookup("output")
	formats := o.formats()
	flag.Usage = "output format: " + strings.Join(formats, ", ")
	if template := cmd.Flags().Lookup("template"); template != nil {
		template.Usage = "the template of -o go-template, or the file of -o go-template-file"
	}
	// This fails only for a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

func (o *Output) formats() []string {
	formats := slices.Clone(o.documents)
	if formats == nil {
		formats = o.flags.AllowedFormats()
	}
	if o.Wide {
		formats = append(formats, "wide")
	}
	slices.Sort(formats)
	return formats
}

// IsText reports whether the output is text for people.
func (o *Output) IsText() bool { return *o.flags.OutputFormat == "" || o.IsWide() }

// IsWide reports whether the output is a table with more columns.
func (o *Output) IsWide() bool { return o.Wide && *o.flags.OutputFormat == "wide" }

// Check returns a usage error for an unknown format.
func (o *Output) Check() error {
	if o.IsText() {
		return nil
	}
	known := slices.Contains(o.formats(), *o.flags.OutputFormat)
	if o.documents != nil && known {
		return nil
	}
	if !known && (o.documents != nil || !strings.Contains(*o.flags.OutputFormat, "=")) {
		return UsageError("unknown output format %q: use one of %s", *o.flags.OutputFormat, strings.Join(o.formats(), ", "))
	}
	_, err := o.flags.ToPrinter()
	if err != nil {
		return UsageError("%v", err)
	}
	return nil
}

// IsName reports whether the output is the names of the objects alone.
func (o *Output) IsName() bool { return *o.flags.OutputFormat == "name" }

// Print prints an API object in the requested format, with kubectl's printers.
func (o *Output) Print(to io.Writer, object runtime.Object) error {
	if o.printer == nil {
		var err error
		if o.printer, err = o.flags.ToPrinter(); err != nil {
			return UsageError("%v", err)
		}
	}
	return o.printer.PrintObj(object, to)
}

// Document prints a value that is not an API object, in JSON or YAML.
func (o *Output) Document(to io.Writer, what any) error {
	raw, err := json.MarshalIndent(what, "", "    ")
	if err != nil {
		return err
	}
	switch *o.flags.OutputFormat {
	case "json":
		_, err = fmt.Fprintln(to, string(raw))
	case "yaml":
		if raw, err = yaml.JSONToYAML(raw); err == nil {
			_, err = to.Write(raw)
		}
	default:
		return errors.New("unknown output format")
	}
	return err
}

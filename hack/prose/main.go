// Command prose checks the language of what people read: documentation, comments, messages, help texts and the texts of the
// console. It extracts the text of source files and hands it, with the Markdown pages, to Vale and the style in styles/RefreshKeys.
//
//	prose [-C directory] [-v] [-counts] [paths...]
//
// A path is a file, a directory or a pattern such as "internal/*/*.go", relative to the directory. Without paths, all of
// the tree is checked. Errors are printed as file:line; warnings are counted, and printed with -v. The exit code is 1 if
// there are errors.
package main

import (
	"embed"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

//go:embed styles
var styles embed.FS

type options struct {
	directory string
	vale      string
	verbose   bool
	counts    bool
	show      bool
	paths     []string
}

func main() {
	o := options{}
	flag.StringVar(&o.directory, "C", ".", "the root of the tree")
	flag.StringVar(&o.vale, "vale", besideThis("vale"), "the Vale binary")
	flag.BoolVar(&o.verbose, "v", false, "print warnings too")
	flag.BoolVar(&o.counts, "counts", false, "print the findings by area and rule")
	flag.BoolVar(&o.show, "extract", false, "print the extracted text and check nothing")
	flag.Parse()
	o.paths = flag.Args()
	errors, err := run(&o, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "prose: %v\n", err)
		os.Exit(2)
	}
	if errors > 0 {
		os.Exit(1)
	}
}

// besideThis returns the path of another program in the directory of this one.
func besideThis(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// run checks a tree and returns the number of errors.
func run(o *options, out io.Writer) (errors int, err error) {
	pages, err := extractTree(o.directory, o.paths)
	if err != nil {
		return 0, err
	}
	if o.show {
		for _, page := range pages {
			for _, line := range page.lines {
				if line.text != "" {
					fmt.Fprintf(out, "%s:%d: %s\n", page.file, line.number, line.text)
				}
			}
		}
		return 0, nil
	}
	findings, err := check(o.vale, pages)
	if err != nil {
		return 0, err
	}
	return report(o, findings, out), nil
}

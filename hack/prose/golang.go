package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// golang extracts the comments of a Go file, the messages in its markers, and its string literals that are sentences:
// errors, messages of conditions, events and logs, help texts, and what tests say when they fail.
func (p *page) golang(source []byte) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, p.file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	for _, group := range file.Comments {
		p.commentGroup(files, group)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			if n.Tag != nil { // A tag is not text.
				ast.Inspect(n.Type, p.literals(files))
				return false
			}
		}
		return p.literals(files)(n)
	})
	return nil
}

// literals returns a visitor that adds string literals. Literals that are joined by + make one paragraph.
func (p *page) literals(files *token.FileSet) func(ast.Node) bool {
	return func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.ADD && hasText(n) {
				p.add(areaOf(p.file, messages), joined(files, n)...)
				return false
			}
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				p.add(areaOf(p.file, messages), literal(files, n)...)
			}
		}
		return true
	}
}

func hasText(expr ast.Expr) bool {
	switch expr := expr.(type) {
	case *ast.BinaryExpr:
		return hasText(expr.X) || hasText(expr.Y)
	case *ast.BasicLit:
		return expr.Kind == token.STRING
	default:
		return false
	}
}

// joined returns the lines of a sum of strings. What is not a literal in it is a word.
func joined(files *token.FileSet, expr ast.Expr) []line {
	switch expr := expr.(type) {
	case *ast.BinaryExpr:
		left, right := joined(files, expr.X), joined(files, expr.Y)
		if last := len(left) - 1; left[last].number == right[0].number {
			left[last].text += right[0].text
			right = right[1:]
		}
		return append(left, right...)
	case *ast.BasicLit:
		if expr.Kind == token.STRING {
			return literal(files, expr)
		}
	}
	return []line{{number: files.Position(expr.Pos()).Line, text: "X"}}
}

// literal returns the lines of a string. Those of a raw string are lines of the file.
func literal(files *token.FileSet, text *ast.BasicLit) (lines []line) {
	value, err := strconv.Unquote(text.Value)
	if err != nil {
		return nil
	}
	number := files.Position(text.Pos()).Line
	for i, part := range strings.Split(value, "\n") {
		if text.Value[0] == '`' {
			lines = append(lines, line{number: number + i, text: part})
		} else {
			lines = append(lines, line{number: number, text: part})
		}
	}
	return lines
}

var (
	directive   = regexp.MustCompile(`^//(go:|nolint|line |export |[a-z]+:)|^//\s*\+|^// Code generated`)
	explanation = regexp.MustCompile(`^//nolint\S* // (.*)$`)
	inMarker    = regexp.MustCompile("message(?:Expression)?=(?:\"((?:[^\"\\\\]|\\\\.)*)\"|`([^`]*)`)")
)

// commentGroup adds a group of comments. Indented lines are code.
func (p *page) commentGroup(files *token.FileSet, group *ast.CommentGroup) {
	var lines []line
	flush := func() {
		p.add(areaOf(p.file, comments), lines...)
		lines = nil
	}
	for _, comment := range group.List {
		number := files.Position(comment.Pos()).Line
		if directive.MatchString(comment.Text) {
			if found := explanation.FindStringSubmatch(comment.Text); found != nil {
				lines = append(lines, line{number: number, text: found[1]})
			}
			for _, found := range inMarker.FindAllStringSubmatch(comment.Text, -1) {
				p.add(messages, line{number: number, text: found[1] + found[2]})
			}
			continue
		}
		for i, text := range strings.Split(uncommented(comment.Text), "\n") {
			switch {
			case strings.TrimSpace(text) == "":
				flush()
			case strings.HasPrefix(text, "\t"), strings.HasPrefix(text, "    "):
			default:
				lines = append(lines, line{number: number + i, text: strings.TrimSpace(text)})
			}
		}
	}
	flush()
}

func uncommented(text string) string {
	if block, ok := strings.CutPrefix(text, "/*"); ok {
		return strings.TrimSuffix(block, "*/")
	}
	return strings.TrimPrefix(strings.TrimPrefix(text, "//"), " ")
}

// Package lines checks log lines as strictly as the strictest log store.
package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Twice returns an error if a line is not exactly one JSON object, or if an object in it, at any depth, has
// a duplicate name.
func Twice(line []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("the line is not a JSON object")
	}
	if err := value(decoder, ""); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the line has text after the JSON object")
	}
	return nil
}

// value reads one JSON value at a path, and returns an error for a duplicate name in it.
func value(decoder *json.Decoder, path string) error {
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	open, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		below := path
		if open == '{' {
			name, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			below = fmt.Sprintf("%s.%v", path, name)
			if seen[below] {
				return fmt.Errorf("name %s is duplicate", below)
			}
			seen[below] = true
		}
		if err := value(decoder, below); err != nil {
			return err
		}
	}
	_, err = decoder.Token()
	return err
}

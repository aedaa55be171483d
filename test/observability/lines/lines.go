// Package lines reads the lines of logs as strictly as the strictest log store.
package lines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Twice returns an error for a line that is not one JSON object, or in which an object, at any depth,
// has a name twice.
func Twice(line []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] != '{' {
		return errors.New("it is not a JSON object")
	}
	if err := value(decoder, ""); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}

// value reads one value, below a path.
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
				return fmt.Errorf("%s is there twice", below)
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

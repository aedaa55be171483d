// Package canonical encodes each JSON value in one form, so that a token can be recreated,
// byte for byte, from the claims that the API server returns.
package canonical

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
)

// JSON returns the canonical form of one JSON value: names sorted, no insignificant space,
// whole numbers of 64 bits as digits, other numbers and strings as encoding/json writes
// them. The form does not change when the API server stores the value, with numbers as
// int64 or float64. Invalid UTF-8 and repeated names are errors.
func JSON(raw []byte) ([]byte, error) {
	value, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Decode parses one JSON value as strictly as JSON; numbers are int64 or float64.
func Decode(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	var value any
	repeated, err := kjson.UnmarshalStrict(raw, &value, kjson.DisallowDuplicateFields)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if len(repeated) > 0 {
		return nil, errors.New("a name is repeated")
	}
	return oneZero(value), nil
}

// oneZero replaces negative zero with zero: -0 would be parsed as a whole number, which has
// no sign.
func oneZero(value any) any {
	switch value := value.(type) {
	case float64:
		if value == 0 {
			return int64(0)
		}
	case []any:
		for i := range value {
			value[i] = oneZero(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = oneZero(value[name])
		}
	}
	return value
}

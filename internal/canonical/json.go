// Package canonical has one form for each JSON value, so that a token can be made again,
// byte for byte, from what the API server gives back of its claims.
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
// them. It is what it is after any number of passes through the API server, which keeps
// numbers as int64 or float64. Invalid UTF-8 and repeated names are errors.
func JSON(raw []byte) ([]byte, error) {
	value, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

// Decode reads one JSON value as strictly as JSON does; numbers are int64 or float64.
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

// oneZero makes of a negative zero the other one: written as -0, it is read as a whole number,
// which has no sign.
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

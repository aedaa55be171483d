package logline

import (
	"maps"
	"strconv"

	"go.uber.org/zap/zapcore"
)

// distinct is a zapcore.Core that gives each field of a line a unique name. It appends a number to a name that
// is already in use: error, error_2.
type distinct struct {
	zapcore.Core
	// taken are the names of the fields of every line of this core.
	taken map[string]bool
}

// reserved are the field names that the encoder uses in every line.
var reserved = map[string]bool{"level": true, "ts": true, "logger": true, "caller": true, "msg": true, "stacktrace": true}

// With is part of zapcore.Core.
func (d *distinct) With(fields []zapcore.Field) zapcore.Core {
	fields, taken := d.named(fields)
	return &distinct{Core: d.Core.With(fields), taken: taken}
}

// Check is part of zapcore.Core.
func (d *distinct) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if d.Enabled(entry.Level) {
		return checked.AddCore(entry, d)
	}
	return checked
}

// Write is part of zapcore.Core.
func (d *distinct) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	fields, _ = d.named(fields)
	return d.Core.Write(entry, fields)
}

// named returns the fields with distinct names, and all names in use.
func (d *distinct) named(fields []zapcore.Field) ([]zapcore.Field, map[string]bool) {
	taken := maps.Clone(d.taken)
	if taken == nil {
		taken = map[string]bool{}
	}
	renamed := make([]zapcore.Field, len(fields))
	for i, field := range fields {
		name := field.Key
		for n := 2; taken[name] || reserved[name]; n++ {
			name = field.Key + "_" + strconv.Itoa(n)
		}
		taken[name] = true
		field.Key = name
		renamed[i] = field
	}
	return renamed, taken
}

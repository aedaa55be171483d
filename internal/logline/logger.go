// Package logline writes the log of the commands: one JSON object a line.
package logline

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger returns a logger of JSON lines, up to a verbosity. No line contains a name twice, which some log
// stores refuse. Times are in RFC 3339, in UTC. With sampled set, it drops lines with the same text beyond linesPerSecond.
func NewLogger(out zapcore.WriteSyncer, verbosity int8, sampled bool) logr.Logger {
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = encodeTime
	var core zapcore.Core = &distinct{Core: zapcore.NewCore(
		zapcore.NewJSONEncoder(config), out, zap.NewAtomicLevelAt(zapcore.Level(-verbosity)),
	)}
	if sampled {
		core = zapcore.NewSamplerWithOptions(core, time.Second, linesPerSecond, linesPerSecond)
	}
	return zapr.NewLogger(zap.New(core, zap.AddCaller(), zap.ErrorOutput(out)))
}

// encodeTime writes a time in RFC 3339 with milliseconds, in UTC, so that lines of several machines sort as text.
func encodeTime(at time.Time, into zapcore.PrimitiveArrayEncoder) {
	into.AppendString(at.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

// linesPerSecond is the number of lines with the same text in a second; of further ones, each linesPerSecond-th is written.
const linesPerSecond = 100

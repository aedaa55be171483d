// Package logline writes the log of the commands: one JSON object a line.
package logline

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger writes JSON lines, up to a verbosity. No line has one name twice, which some log stores
// refuse. With sampled set, lines of one text beyond linesPerSecond are left out.
func NewLogger(out zapcore.WriteSyncer, verbosity int8, sampled bool) logr.Logger {
	var core zapcore.Core = &distinct{Core: zapcore.NewCore(
		zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), out, zap.NewAtomicLevelAt(zapcore.Level(-verbosity)),
	)}
	if sampled {
		core = zapcore.NewSamplerWithOptions(core, time.Second, linesPerSecond, linesPerSecond)
	}
	return zapr.NewLogger(zap.New(core, zap.AddCaller(), zap.ErrorOutput(out)))
}

// linesPerSecond is how many lines of one text are written in a second; of further ones, each linesPerSecond-th is written.
const linesPerSecond = 100

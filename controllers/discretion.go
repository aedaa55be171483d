package controllers

import (
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// bodies is the verbosity from which on client-go logs what it sends and receives: Secrets,
// with the tokens and private keys in them, whoever asked for so much.
const bodies = 8

// discreet is a logger that says less than that, whatever its verbosity. The zero logger
// stands for controller-runtime's own.
func discreet(logger logr.Logger) logr.Logger {
	if logger.GetSink() == nil {
		logger = ctrl.Log
	}
	return logger.WithSink(discreetSink{logger.GetSink()})
}

type discreetSink struct{ logr.LogSink }

func (s discreetSink) Enabled(level int) bool { return level < bodies && s.LogSink.Enabled(level) }

func (s discreetSink) WithName(name string) logr.LogSink {
	return discreetSink{s.LogSink.WithName(name)}
}

func (s discreetSink) WithValues(keysAndValues ...any) logr.LogSink {
	return discreetSink{s.LogSink.WithValues(keysAndValues...)}
}

// WithCallDepth keeps the lines that a log names right.
func (s discreetSink) WithCallDepth(depth int) logr.LogSink {
	if sink, ok := s.LogSink.(logr.CallDepthLogSink); ok {
		return discreetSink{sink.WithCallDepth(depth)}
	}
	return s
}

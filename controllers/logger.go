package controllers

import (
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// bodyLogLevel is the verbosity from which client-go logs request and response bodies, which include Secrets with
// tokens and private keys.
const bodyLogLevel = 8

// withoutBodyLogging returns a logger that logs only below bodyLogLevel. For the zero logger it wraps the logger of
// controller-runtime.
func withoutBodyLogging(logger logr.Logger) logr.Logger {
	if logger.GetSink() == nil {
		logger = ctrl.Log
	}
	return logger.WithSink(bodylessSink{logger.GetSink()})
}

type bodylessSink struct{ logr.LogSink }

func (s bodylessSink) Enabled(level int) bool {
	return level < bodyLogLevel && s.LogSink.Enabled(level)
}

func (s bodylessSink) WithName(name string) logr.LogSink {
	return bodylessSink{s.LogSink.WithName(name)}
}

func (s bodylessSink) WithValues(keysAndValues ...any) logr.LogSink {
	return bodylessSink{s.LogSink.WithValues(keysAndValues...)}
}

// WithCallDepth keeps the caller in log lines correct.
func (s bodylessSink) WithCallDepth(depth int) logr.LogSink {
	if sink, ok := s.LogSink.(logr.CallDepthLogSink); ok {
		return bodylessSink{sink.WithCallDepth(depth)}
	}
	return s
}

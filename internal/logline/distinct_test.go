package logline

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/refreshkeys/refreshkeys/test/observability/lines"
)

// TestNoNameTwice checks that no field name occurs twice in a line, and that no field is lost.
func TestNoNameTwice(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(zapcore.AddSync(&out), 0, true)
	log.Info("plain", "a", 1)
	log.Error(errors.New("broken"), "an error beside an error", "error", "invalid_grant")
	log.WithValues("name", "one").WithValues("name", "two").WithName("part").Info("thrice", "name", "three", "logger", "x", "level", 7)
	log.Info("names of the encoder", "ts", 1, "msg", "x", "caller", "y", "stacktrace", "z")
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if twice := lines.Twice([]byte(line)); twice != nil {
			t.Errorf("%v in %s", twice, line)
		}
	}
	for _, want := range []string{`"error":"invalid_grant"`, `"error_2":"broken"`, `"name":"one"`, `"name_2":"two"`, `"name_3":"three"`, `"level_2":7`, `"ts_2":1`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in:\n%s", want, &out)
		}
	}
}

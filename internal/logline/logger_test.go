package logline

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
)

// TestTimes checks that the time of a line is in RFC 3339, in UTC and with milliseconds, in any zone of the machine.
func TestTimes(t *testing.T) {
	var out bytes.Buffer
	before := time.Now().Truncate(time.Millisecond)
	NewLogger(zapcore.AddSync(&out), 0, false).Info("begun")
	var line struct{ TS string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, line.TS)
	if err != nil || !strings.HasSuffix(line.TS, "Z") || len(line.TS) != len("2026-01-02T15:04:05.000Z") || at.Before(before) || at.After(time.Now()) {
		t.Errorf("ts is %q (%v)", line.TS, err)
	}
	encoder := zapcore.NewMapObjectEncoder()
	east := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 2*60*60))
	_ = encoder.AddArray("ts", zapcore.ArrayMarshalerFunc(func(into zapcore.ArrayEncoder) error { encodeTime(east, into); return nil }))
	if got, _ := encoder.Fields["ts"].([]any); len(got) != 1 || got[0] != "2026-01-02T01:04:05.000Z" {
		t.Errorf("a time in another zone is %v", got)
	}
}

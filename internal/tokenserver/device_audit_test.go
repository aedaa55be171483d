package tokenserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
)

// TestAuditOfDevices checks the lines of decisions and claims, that a poll without a decision has none, and that no log contains a code.
func TestAuditOfDevices(t *testing.T) {
	r := withDevices(t)
	var lines bytes.Buffer
	log := &logbook{}
	options := r.Server.Options
	options.Log, options.Observe = log.logger(), tokenserver.NewAudit(&lines, r.Clock, func(err error) { t.Error(err) }).Observe
	server, err := tokenserver.New(options)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = server
	allowed, denied := startDevice(t, r), startDevice(t, r)
	allowed.poll(r)
	allowed.pollNow(r, nil)
	b := open(t, r)
	b.send("GET", allowed.link, nil)
	b.decides(allowed.shown, "allow")
	forward(r, time.Minute)
	b.decides(denied.shown, "deny")
	b.decides(denied.shown, "allow")
	allowed.poll(r)
	denied.poll(r)
	var got []string
	for line := range strings.Lines(lines.String()) {
		var record struct{ Event, Method, Result, Subject string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintln(record.Event, record.Result, record.Subject, record.Method)))
	}
	want := []string{
		"sign-in ok ada Password", "sign-in ok ada Password", "sign-in ok ada Password", "sign-in access_denied ada Password", "sign-in ok ada Password",
		"sign-in invalid_grant ada Password", "login ok ada", "login access_denied ada",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the audit log is\n%s", strings.Join(got, "\n"))
	}
	for _, device := range []*tv{allowed, denied} {
		for _, secret := range []string{device.code, device.shown, strings.ReplaceAll(device.shown, "-", "")} {
			if strings.Contains(lines.String(), secret) || strings.Contains(strings.Join(log.lines(), "\n"), secret) {
				t.Errorf("a log contains %s", secret)
			}
		}
	}
}

package tokenserver

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/mileusna/useragent"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

const (
	maxUserAgent = 256
	maxDeviceID  = 128
	maxName      = 128
	// rememberedAgents is the maximum number of cached user agents.
	rememberedAgents = 1024
)

// devices parses user agents and caches the results.
type devices struct {
	known *lru.Cache[string, v1alpha1.SeenDevice]
}

func newDevices() (*devices, error) {
	known, err := lru.New[string, v1alpha1.SeenDevice](rememberedAgents)
	return &devices{known: known}, err
}

func (d *devices) read(agent string) v1alpha1.SeenDevice {
	cut := clean(agent, maxUserAgent)
	if seen, ok := d.known.Get(cut); ok {
		return seen
	}
	agent = namedAgent(cut)
	parsed := useragent.Parse(agent)
	seen := v1alpha1.SeenDevice{
		UserAgent: agent,
		Browser:   clean(strings.TrimSpace(parsed.Name+" "+parsed.Version), maxName),
		OS:        clean(strings.TrimSpace(parsed.OS+" "+parsed.OSVersion), maxName),
	}
	d.known.Add(cut, seen)
	return seen
}

// namedAgent returns the part of a user agent that is recorded: without tokens, and with at most maxUserAgent
// bytes, also after tokens are replaced.
func namedAgent(agent string) string {
	return clean(withoutTokens(clean(agent, maxUserAgent)), maxUserAgent)
}

// clean returns the printable characters of a text, cut to at most the given number of bytes.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// seen returns the device of a request, as reported by the client.
func (s *Server) seen(r *http.Request, form oauth.Form) (v1alpha1.SeenDevice, error) {
	seen := s.devices.read(r.UserAgent())
	seen.ID = form.Get(oauth.ParamDeviceID)
	if len(seen.ID) > maxDeviceID || seen.ID != clean(seen.ID, maxDeviceID) {
		return seen, oauth.Refuse(oauth.InvalidRequest, fmt.Sprintf("device_id must be at most %d bytes of printable characters.", maxDeviceID))
	}
	if s.RecordAddress {
		seen.IPAddress = address(r)
	}
	return seen, nil
}

// address returns the remote address of a connection. Headers of proxies are ignored, since any client can send
// them.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

package console

import (
	"encoding/base64"
	"net/http"
)

// cookie is the cookie with the id of the session. It has no lifetime of its own, so that the browser forgets it at its end.
type cookie struct {
	name, path string
	plain      bool
}

// newCookie returns the cookie of a server. The prefixes of its name make browsers refuse one that another host set, or one that
// is not Secure: __Host- also demands the path /, so that a server with neighbours below other paths needs __Secure-.
func newCookie(base string, local *local) cookie {
	switch {
	case local != nil:
		return cookie{name: "rk-" + local.port, path: base, plain: true}
	case base == "/":
		return cookie{name: "__Host-rk", path: "/"}
	default:
		return cookie{name: "__Secure-rk", path: base}
	}
}

func (c *cookie) set(w http.ResponseWriter, id string) { c.write(w, id, 0) }

func (c *cookie) clear(w http.ResponseWriter) { c.write(w, "", -1) }

func (c *cookie) write(w http.ResponseWriter, id string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // only the local console, over plain HTTP, has a cookie that is not Secure
		Name: c.name, Value: id, Path: c.path, MaxAge: age, Secure: !c.plain, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// read returns the id of a request; empty for none. Of several cookies with the name, one is not ours: none counts.
func (c *cookie) read(r *http.Request) string {
	found := r.CookiesNamed(c.name)
	if len(found) != 1 || len(found[0].Value) != base64.RawURLEncoding.EncodedLen(idBytes) {
		return ""
	}
	return found[0].Value
}

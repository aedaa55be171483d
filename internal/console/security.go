package console

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// policy is the content security policy of every answer.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// headers are those of every answer.
var headers = map[string]string{
	"Content-Security-Policy":      policy,
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Permissions-Policy":           "camera=(), clipboard-read=(), display-capture=(), geolocation=(), hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()",
	"Cache-Control":                "no-store",
}

// strictTransport makes browsers use TLS for a year.
const strictTransport = "max-age=31536000"

// secure sets the headers of an answer.
func (s *Server) secure(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	// A browser remembers the header for a host with all of its ports: on a person's own machine it would break other pages.
	if s.local == nil && !isLoopback(hostname(r.Host)) {
		w.Header().Set("Strict-Transport-Security", strictTransport)
	}
}

// admit returns the request as the handlers get it, or why it is refused before its route is known.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if !s.hasHost(r.Host) {
		return nil, fail(http.StatusMisdirectedRequest, metav1.StatusReasonBadRequest, "the console is not served under this host name; --host adds one")
	}
	below, ours := strings.CutPrefix(r.URL.Path, s.base)
	switch {
	case r.URL.RawPath != "" || !isClean(r.URL.Path):
		return nil, errNoRoute
	case !ours && r.URL.Path+"/" == s.base && r.Method == http.MethodGet:
		return nil, errNoSlash
	case !ours:
		return nil, errNoRoute
	}
	if err := s.crossOrigin.Check(r); err != nil {
		return nil, errOtherOrigin
	}
	var err error
	switch {
	case strings.HasPrefix(below, "api/"):
		err = admitAPI(r)
	case strings.HasPrefix(below, "auth/"):
		err = admitNavigation(r)
	}
	if err != nil {
		return nil, err
	}
	admitted := *r
	admitted.URL = &url.URL{Path: "/" + below, RawQuery: r.URL.RawQuery}
	admitted.Header = withoutIdentity(r.Header)
	admitted.Body = http.MaxBytesReader(w, r.Body, longestBody)
	return &admitted, nil
}

var (
	errNoRoute = fail(http.StatusNotFound, metav1.StatusReasonNotFound, "the console has no such route")
	// errNoSlash is for the base path without its slash: the browser is sent to the page.
	errNoSlash     = errors.New("the base path has no slash at its end")
	errOtherOrigin = fail(http.StatusForbidden, metav1.StatusReasonForbidden, "the request comes from another origin")
	errEmbedded    = fail(http.StatusForbidden, metav1.StatusReasonForbidden, "the route is for a browser that goes there, not for a part of a page")
)

// isClean reports whether a path has no part that is empty or that stands for another path.
func isClean(p string) bool {
	clean := path.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return p == clean
}

// admitAPI checks what requests below api/ need in addition: reads come from this origin, too, and writes have a JSON body, which no
// form of another page can send.
func admitAPI(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errOtherOrigin
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fail(http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "the body of the request must be application/json")
	}
	return nil
}

// admitNavigation checks that a browser goes to a path: an image or a frame of another page does not use up the tries to sign in.
func admitNavigation(r *http.Request) error {
	if part := r.Header.Get("Sec-Fetch-Dest"); part != "" && part != "document" {
		return errEmbedded
	}
	return nil
}

// withoutIdentity returns headers without those that name a user: a session is the only way to say who one is.
func withoutIdentity(all http.Header) http.Header {
	kept := make(http.Header, len(all))
	for name, values := range all {
		if !namesUser(name) {
			kept[name] = values
		}
	}
	return kept
}

func namesUser(header string) bool {
	return header == "Authorization" || header == "Proxy-Authorization" ||
		slices.ContainsFunc([]string{"Impersonate-", "X-Remote-", "X-Forwarded-", "X-Auth-"}, func(prefix string) bool {
			return strings.HasPrefix(header, prefix)
		})
}

// hasHost reports whether the console is served under the host of a request. A name without a port holds for every port.
func (s *Server) hasHost(host string) bool {
	return slices.ContainsFunc(s.Hosts, func(ours string) bool {
		return strings.EqualFold(host, ours) || strings.EqualFold(hostname(host), ours)
	})
}

// hostname returns a host without its port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

func isLoopback(name string) bool {
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// checkPath checks the parts of a path, and the namespace of a query, that become part of a path at the API server.
func checkPath(r *http.Request) error {
	for _, namespace := range []string{r.PathValue("ns"), r.URL.Query().Get("ns")} {
		if namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0 {
			return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the request has no valid name of a namespace")
		}
	}
	if name := r.PathValue("name"); name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fail(http.StatusBadRequest, metav1.StatusReasonBadRequest, "the path has no valid name of an object")
	}
	return nil
}

package authorize

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

// maxRedirect is the longest redirect URI of a request, in bytes: a declared one with a port.
const maxRedirect = 512 + len(":65535")

// redirectOf returns where the answer to a client goes. A client with one redirect URI need not name it.
func redirectOf(client *v1alpha1.LoginClient, asked string) (string, error) {
	if asked == "" {
		if len(client.RedirectURIs) == 1 && !loopback.MatchString(client.RedirectURIs[0]) {
			return client.RedirectURIs[0], nil
		}
		return "", &PageError{"The application did not say where to return to: redirect_uri is missing."}
	}
	if len(asked) > maxRedirect || !slices.ContainsFunc(client.RedirectURIs, func(declared string) bool { return matches(declared, asked) }) {
		return "", &PageError{"The application wants to return to an address that is not declared for it: its redirect_uri is not one of the client's redirectURIs."}
	}
	return asked, nil
}

// loopback matches the redirect URI of a program on the person's own machine: the scheme and host, the port, and the rest.
var loopback = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(:[1-9][0-9]{0,4})?((?:[/?].*)?)$`)

// matches reports whether a redirect URI is a declared one, byte for byte (RFC 9700 §2.1). Only a loopback address matches with
// every port, since programs listen where one is free (RFC 8252 §7.3).
func matches(declared, asked string) bool {
	if declared == asked {
		return true
	}
	want, given := loopback.FindStringSubmatch(declared), loopback.FindStringSubmatch(asked)
	return want != nil && given != nil && want[2] == "" && want[1] == given[1] && want[3] == given[3]
}

// Redirect returns the URL of an answer: the redirect URI with the parameters in its query (RFC 6749 §4.1.2), the client's state,
// and the issuer (RFC 9207).
func (r *Request) Redirect(issuer string, parameters url.Values) string {
	query := url.Values{oauth.ParamIssuer: {issuer}}
	for name, values := range parameters {
		query[name] = values
	}
	if r.State != "" {
		query.Set(oauth.ParamState, r.State)
	}
	joint := "?"
	if strings.Contains(r.RedirectURI, "?") {
		joint = "&"
	}
	return r.RedirectURI + joint + query.Encode()
}

// RedirectRefused returns the URL that tells the client why a request is refused (RFC 6749 §4.1.2.1).
func (e *RefusedError) RedirectRefused(issuer string) string {
	return e.Request.Redirect(issuer, url.Values{oauth.ParamError: {string(e.Reason.Code)}, oauth.ParamErrorDescription: {e.Reason.Description}})
}

// Targets returns where the forms of the pages of a sign-in may lead, apart from the issuer: to the application, and for a device to no
// other place.
func (r *Request) Targets() []string {
	if r.Device != nil {
		return nil
	}
	return []string{r.Target()}
}

// Target returns what Content-Security-Policy calls the place of the redirect URI, which a form may lead to: its scheme. A host would not
// do: browsers apply the policy to the application's own redirects as well, and the policy cannot name an IPv6 address.
func (r *Request) Target() string {
	scheme, _, _ := strings.Cut(r.RedirectURI, ":")
	return scheme + ":"
}

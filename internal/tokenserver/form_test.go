package tokenserver

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
)

func TestIsForm(t *testing.T) {
	for contentType, want := range map[string]bool{
		"application/x-www-form-urlencoded":                               true,
		"Application/X-WWW-Form-URLEncoded":                               true,
		" application/x-www-form-urlencoded ":                             true,
		"application/x-www-form-urlencoded;":                              true,
		"application/x-www-form-urlencoded; charset=utf-8":                true,
		`application/x-www-form-urlencoded;CHARSET="UTF-8"`:               true,
		"application/x-www-form-urlencoded; charset=utf-16":               false,
		"application/x-www-form-urlencoded; charset=":                     false,
		"application/x-www-form-urlencoded; charset":                      false,
		"application/x-www-form-urlencoded; charset=utf-8; charset=utf-7": false,
		"application/x-www-form-urlencoded; charset=utf-8; a=b":           false,
		"application/x-www-form-urlencoded; boundary=b":                   false,
		"application/x-www-form-urlencoded, application/json":             false,
		"application/x-www-form-urlencoded\x00":                           false,
		"application/x-www-form-urlencodedx":                              false,
		"application/x-www-form":                                          false,
		"x-www-form-urlencoded":                                           false,
		"application/json":                                                false,
		"multipart/form-data; boundary=b":                                 false,
		"*/*":                                                             false,
		"":                                                                false,
	} {
		if got := isForm(contentType); got != want {
			t.Errorf("%q is a form: %t", contentType, got)
		}
	}
}

func TestCheckClient(t *testing.T) {
	basic := func(user, secret string) string {
		made := &http.Request{Header: http.Header{}}
		made.SetBasicAuth(user, secret)
		return made.Header.Get("Authorization")
	}
	secret, assertion := oauth.Form{oauth.ParamClientSecret: {"s"}}, oauth.Form{oauth.ParamClientAssertion: {"a"}, oauth.ParamClientAssertionType: {oauth.AssertionJWTBearer}}
	for _, tt := range []struct {
		name   string
		header []string
		form   oauth.Form
		want   oauth.Code
	}{
		{name: "no credentials"},
		{name: "client_id only", form: oauth.Form{oauth.ParamClientID: {"c"}}},
		{name: "Basic without a secret", header: []string{basic("c", "")}},
		{name: "Basic without anything", header: []string{basic("", "")}},
		{name: "Basic with a secret", header: []string{basic("c", "s")}, want: oauth.InvalidClient},
		{name: "malformed Basic", header: []string{"Basic ?"}, want: oauth.InvalidClient},
		{name: "Bearer", header: []string{"Bearer b"}, want: oauth.InvalidClient},
		{name: "an empty header", header: []string{""}, want: oauth.InvalidClient},
		{name: "a secret", form: secret, want: oauth.InvalidClient},
		{name: "an assertion, which the grant checks", form: assertion},
		{name: "an assertion without its type", form: oauth.Form{oauth.ParamClientAssertion: {"a"}}, want: oauth.InvalidRequest},
		{name: "the type of an assertion alone", form: oauth.Form{oauth.ParamClientAssertionType: {oauth.AssertionJWTBearer}}, want: oauth.InvalidRequest},
		{name: "an assertion of SAML", want: oauth.InvalidClient, form: oauth.Form{
			oauth.ParamClientAssertion: {"a"}, oauth.ParamClientAssertionType: {"urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}}},
		{name: "a header without a secret, and the type of an assertion", header: []string{basic("c", "")}, want: oauth.InvalidRequest,
			form: oauth.Form{oauth.ParamClientAssertionType: {oauth.AssertionJWTBearer}}},
		{name: "two headers", header: []string{basic("c", ""), basic("c", "")}, want: oauth.InvalidRequest},
		{name: "a header and a secret", header: []string{basic("c", "")}, form: secret, want: oauth.InvalidRequest},
		{name: "a header and an assertion", header: []string{basic("c", "s")}, form: assertion, want: oauth.InvalidRequest},
		{name: "a secret and an assertion", want: oauth.InvalidRequest,
			form: oauth.Form{oauth.ParamClientSecret: {"s"}, oauth.ParamClientAssertion: {"a"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodPost, "/token", nil)
			request.Header["Authorization"] = tt.header
			err := checkClient(request, tt.form)
			var code oauth.Code
			if refusal, ok := err.(*oauth.Error); ok { //nolint:errorlint // it is what goes over the wire
				code = refusal.Code
			}
			if (err == nil) != (tt.want == "") || code != tt.want {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

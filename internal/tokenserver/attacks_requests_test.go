package tokenserver_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"

	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

const malformed = "400 invalid_request"

// goodBody returns the body of an exchange that is answered with 200 unless a row changes it.
func (s *attackHarness) goodBody() string { return s.exchange(s.good).body }

// posted returns a POST of any body.
func (s *attackHarness) posted(body string) request {
	return request{method: http.MethodPost, target: s.at("/token"), body: body}
}

// badForms checks that a form has at most 64 parameters, each at most once (RFC 6749 §3.2).
func (s *attackHarness) badForms() []attack {
	good := s.goodBody()
	many := func(n int, each string) request { return s.posted(good + strings.Repeat(each, n)) }
	gone := s.exchange(s.good)
	gone.body = ""
	return []attack{
		{"100,000 parameters", many(100_000, "&a=b"), "413 invalid_request", nil},
		{"10,000 parameters", many(10_000, "&a=b"), malformed, nil},
		{"65 parameters", many(63, "&a="), malformed, nil},
		{"64 parameters", many(62, "&a="), "200", nil},
		{"60,000 ampersands", many(60_000, "&"), malformed, nil},
		{"a body of more than 64 KiB", s.posted(good + "&a=" + strings.Repeat("a", 64<<10)), "413 invalid_request", nil},
		{"a body of 64 KiB", s.posted(good + "&a=" + strings.Repeat("a", 64<<10-len(good)-3)), "200", nil},
		{"refresh_token twice", s.posted(good + "&refresh_token=" + marker), malformed, nil},
		{"the same refresh_token twice", s.posted(good + "&refresh_token=" + s.good), malformed, nil},
		{"grant_type twice", s.posted(good + "&grant_type=password"), malformed, nil},
		{"scope twice", s.posted(good + "&scope=orders:read&scope=orders:write"), malformed, nil},
		{"an unknown parameter, twice", s.posted(good + "&" + marker + "=1&" + marker + "=2"), malformed, nil},
		{"a parameter without a name, twice", s.posted(good + "&=1&=2"), malformed, nil},
		{"an unknown parameter", s.posted(good + "&" + marker + "=1"), "200", nil},
		{"an empty parameter is as if absent", s.posted(good + "&refresh_token=&scope=&client_secret=&resource="), "200", nil},
		{"refresh_token empty", s.posted("grant_type=refresh_token&refresh_token="), malformed, nil},
		{"refresh_token in capitals", s.posted("grant_type=refresh_token&REFRESH_TOKEN=" + s.good), malformed, nil},
		{"refresh_token as a list", s.posted("grant_type=refresh_token&refresh_token[]=" + s.good), malformed, nil},
		{"grant_type missing", s.posted("refresh_token=" + s.good), malformed, nil},
		{"grant_type in capitals", s.posted("grant_type=REFRESH_TOKEN&refresh_token=" + s.good), "400 unsupported_grant_type", nil},
		{"grant_type password", s.posted("grant_type=password&username=a&password=" + marker), "400 unsupported_grant_type", nil},
		{"unknown grant_type", s.posted("grant_type=" + marker), "400 unsupported_grant_type", nil},
		{"no body", gone, malformed, nil},
		{"an escape without its digits", s.posted(good + "&a=%zz"), malformed, nil},
		{"an escape that is cut", s.posted(good + "&a=%"), malformed, nil},
		{"a semicolon for an ampersand", s.posted(strings.Replace(good, "&", ";", 1)), malformed, nil},
		{"bad UTF-8 in a value", s.posted(good + "&a=%ff%fe"), malformed, nil},
		{"bad UTF-8 in a name", s.posted(good + "&%c3%28=1"), malformed, nil},
		{"an overlong slash", s.posted(good + "&a=%c0%af"), malformed, nil},
		{"a line break in the device", s.posted(good + "&device_id=" + marker + "%0d%0aSet-Cookie:x"), malformed, nil},
		{"a device of 4 kB", s.posted(good + "&device_id=" + strings.Repeat("d", 4_000)), malformed, nil},
		{"a scope beyond the grant", s.posted(good + "&scope=orders:read+admin"), "400 invalid_scope", nil},
		{"a scope of blanks", s.posted(good + "&scope=++"), "400 invalid_scope", nil},
		{"a scope with a line break", s.posted(good + "&scope=orders:read%0aorders:write"), "400 invalid_scope", nil},
		{"a scope in capitals", s.posted(good + "&scope=ORDERS:READ"), "400 invalid_scope", nil},
		{"a scope for all", s.posted(good + "&scope=orders:*"), "400 invalid_scope", nil},
		{"another resource (RFC 8707 §2)", s.posted(good + "&resource=https://billing.example.com"), "400 invalid_target", nil},
		{"the resource, and another one", s.posted(good + "&resource=" + audience + "&resource=https://billing.example.com"), "400 invalid_target", nil},
		{"the resource with a slash after it", s.posted(good + "&resource=" + audience + "/"), "400 invalid_target", nil},
		{"another audience", s.posted(good + "&audience=" + marker), "400 invalid_target", nil},
	}
}

// badTypes checks that only a body with one form content type is read as a form.
func (s *attackHarness) badTypes() []attack {
	good := s.posted(s.goodBody())
	typed := func(contentType string) request { return good.with("Content-Type", contentType) }
	var squeezed bytes.Buffer
	writer := gzip.NewWriter(&squeezed)
	_, _ = writer.Write([]byte(good.body))
	_ = writer.Close()
	asJSON := fmt.Sprintf(`{"grant_type":"refresh_token","refresh_token":%q}`, s.good)
	parts := "--x\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\nrefresh_token\r\n--x--\r\n"
	const form = "application/x-www-form-urlencoded"
	encoded := func(encoding, body string) request { return s.posted(body).with("Content-Encoding", encoding) }
	return []attack{
		{"gzip", encoded("gzip", squeezed.String()), "415 invalid_request", nil},
		{"gzip, that it is not", encoded("gzip", good.body), "415 invalid_request", nil},
		{"an unknown encoding", encoded(marker, good.body), "415 invalid_request", nil},
		{"the encoding that is none", encoded("identity", good.body), "415 invalid_request", nil},
		{"gzip, and not said", s.posted(squeezed.String()), malformed, nil},
		{"multipart", s.posted(parts).with("Content-Type", "multipart/form-data; boundary=x"), malformed, nil},
		{"JSON", s.posted(asJSON).with("Content-Type", "application/json"), malformed, nil},
		{"JSON, called a form", s.posted(asJSON), malformed, nil},
		{"text", typed("text/plain"), malformed, nil},
		{"no type", typed(""), malformed, nil},
		{"a malformed type", typed(marker), malformed, nil},
		{"two types, both a form", typed(form).with("Content-Type", form), malformed, nil},
		{"two types, a form and JSON", typed(form).with("Content-Type", "application/json"), malformed, nil},
		{"two types in one header", typed(form + ", application/json"), malformed, nil},
		{"a charset that is not UTF-8", typed(form + "; charset=iso-8859-1"), malformed, nil},
		{"UTF-7", typed(form + "; charset=utf-7"), malformed, nil},
		{"a charset without its name", typed(form + "; charset="), malformed, nil},
		{"two charsets", typed(form + "; charset=utf-8; charset=utf-7"), malformed, nil},
		{"a charset and another parameter", typed(form + "; charset=utf-8; boundary=x"), malformed, nil},
		{"another parameter", typed(form + "; boundary=x"), malformed, nil},
		{"a type like a form's", typed(form + "x"), malformed, nil},
		{"UTF-8, as it is anyway", typed(form + "; charset=UTF-8"), "200", nil},
		{"UTF-8, in quotes", typed(form + `; charset="utf-8"`), "200", nil},
		{"a form in capitals (RFC 9110 §8.3.1)", typed(strings.ToUpper(form)), "200", nil},
	}
}

// badClients checks that a client with a secret gets invalid_client instead of an answer as if it were
// authenticated (RFC 6749 §2.3, §5.2).
func (s *attackHarness) badClients() []attack {
	good := s.posted(s.goodBody())
	as := func(authorization string) request { return good.with("Authorization", authorization) }
	basic := func(user, secret string) string {
		made := http.Request{Header: http.Header{}}
		made.SetBasicAuth(user, secret)
		return made.Header.Get("Authorization")
	}
	secret := s.posted(good.body + "&client_id=a&client_secret=" + marker)
	const failed = "401 invalid_client"
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	const assertionType = "&client_assertion_type=" + jwtBearer
	assertion := assertionType + "&client_assertion=" + s.caller
	return []attack{
		{"Basic with a secret", as(basic("a", marker)), failed, nil},
		{"Basic with an empty secret", as(basic("a", "")), "200", nil},
		{"malformed Basic", as("Basic %%%"), failed, nil},
		{"Basic without anything", as("Basic"), failed, nil},
		{"Bearer", as("Bearer " + s.caller), failed, nil},
		{"an unknown scheme", as(marker), failed, nil},
		{"a secret in the body", secret, failed, nil},
		{"an assertion (RFC 7523 §2.2)", s.posted(good.body + assertion), "200", nil},
		{"an assertion that is none", s.posted(good.body + assertionType + "&client_assertion=" + marker), failed, nil},
		{"the refresh token as assertion", s.posted(good.body + assertionType + "&client_assertion=" + s.good), failed, nil},
		{"an assertion of 60 kB", s.posted(good.body + assertionType + "&client_assertion=" + strings.Repeat("a", 60_000)), failed, nil},
		{"an assertion without its type", s.posted(good.body + "&client_assertion=" + marker), malformed, nil},
		{"an assertion's type alone", s.posted(good.body + assertionType), malformed, nil},
		{"an assertion of another type (RFC 7522)", s.posted(good.body + "&client_assertion_type=saml2-bearer&client_assertion=" + marker), failed, nil},
		{"an assertion twice", s.posted(good.body + assertion + "&client_assertion=" + marker), malformed, nil},
		{"an assertion that is none at /revoke", s.form("/revoke", "token", s.good, "client_assertion", marker, "client_assertion_type", jwtBearer), failed, nil},
		{"Basic, and a secret in the body", secret.with("Authorization", basic("a", marker)), malformed, nil},
		{"Basic without a secret, and one in the body", secret.with("Authorization", basic("a", "")), malformed, nil},
		{"Basic, and an assertion", s.posted(good.body+assertion).with("Authorization", basic("a", marker)), malformed, nil},
		{"a secret and an assertion", s.posted(secret.body + assertion), malformed, nil},
		{"Basic twice", as(basic("a", "")).with("Authorization", basic("a", "")), malformed, nil},
		{"a client_id, and nothing to prove it", s.posted(good.body + "&client_id=" + marker), "200", nil},
		{"a secret at /revoke", s.form("/revoke", "token", marker, "client_secret", marker), failed, nil},
		{"Basic twice at /revoke", s.form("/revoke", "token", marker).with("Authorization", basic("a", ""), "Authorization", basic("b", "")), malformed, nil},
	}
}

// badQuestions checks that only authenticated callers may ask about tokens (RFC 7662 §2.1).
func (s *attackHarness) badQuestions() []attack {
	ask := s.form("/introspect", "token", s.good, "token_type_hint", "refresh_token")
	twice := ask.with("Authorization", "Bearer "+s.caller, "Authorization", "Bearer "+s.caller)
	inBody := s.form("/introspect", "token", s.good, "access_token", s.caller)
	nothing := s.form("/introspect").with("Authorization", "Bearer "+s.caller)
	// Without a bearer token there is no error code (RFC 6750 §3.1).
	const unknown, anonymous = "401 invalid_token", "401 "
	return []attack{
		{"a request without a caller asks", ask, anonymous, nil},
		{"Basic asks", ask.with("Authorization", "Basic "+forge.B64("a:"+marker)), anonymous, nil},
		{"two blanks and nonsense ask", ask.with("Authorization", "Bearer  "+marker), unknown, nil},
		{"two blanks and a caller ask", ask.with("Authorization", "Bearer  "+s.caller), unknown, nil},
		{"a caller and a word ask", ask.with("Authorization", "Bearer "+s.caller+" "+marker), unknown, nil},
		{"Bearer without a token asks", ask.with("Authorization", "Bearer "), unknown, nil},
		{"nonsense asks", ask.with("Authorization", "Bearer "+marker), unknown, nil},
		{"10 kB asks", ask.with("Authorization", "Bearer "+strings.Repeat("a", 10_000)), unknown, nil},
		{"a caller asks in the body (RFC 6750 §2.2)", inBody, anonymous, nil},
		{"a caller asks twice at once (RFC 6750 §3.1)", twice, malformed, nil},
		{"a caller asks about nothing", nothing, malformed, nil},
		{"a caller asks in the URL", request{method: http.MethodPost, target: s.at("/introspect?token=" + marker), header: nothing.header}, malformed, nil},
	}
}

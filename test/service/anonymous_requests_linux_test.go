package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/refreshkeys/refreshkeys/internal/oauth"
	"github.com/refreshkeys/refreshkeys/test/framework/forge"
)

// anonymousClient is a client without any credential.
type anonymousClient struct {
	number                  int
	issuer, agent, callback string
	client                  *http.Client
	// cookies and step are those of its login page, and deviceCode is that of its device.
	cookies          []*http.Cookie
	step, deviceCode string
}

// visit sends one request of each kind, or of those kinds only.
func (s *anonymousClient) visit(ctx context.Context, seen *outcomes, only []string) error {
	for i := range anonymousRequests {
		kind := &anonymousRequests[i]
		if len(only) > 0 && !slices.Contains(only, kind.name) {
			continue
		}
		request := kind.request(s)
		request.Header.Set("User-Agent", s.agent)
		for _, cookie := range s.cookies {
			request.AddCookie(cookie)
		}
		answer, err := s.client.Do(request.WithContext(ctx))
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		if kind.learn != nil && answer.StatusCode == http.StatusOK {
			kind.learn(s, answer, body)
		}
		seen.add(kind.name, answer.StatusCode)
	}
	return nil
}

func (s *anonymousClient) get(path string, query url.Values) *http.Request {
	return s.request(http.MethodGet, path+"?"+query.Encode(), nil)
}

func (s *anonymousClient) post(path string, form url.Values) *http.Request {
	return s.request(http.MethodPost, path, form)
}

func (s *anonymousClient) request(method, path string, form url.Values, headers ...string) *http.Request {
	request, err := http.NewRequestWithContext(context.Background(), method, s.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// invented returns a value of the form of a sealed one, with a key that no issuer has.
func invented() string {
	value := make([]byte, 160)
	_, _ = rand.Read(value)
	return base64.RawURLEncoding.EncodeToString(value)
}

// altered returns a sealed value with another last byte.
func altered(sealed string) string {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) == 0 {
		return invented()
	}
	raw[len(raw)-1] ^= 1
	return base64.RawURLEncoding.EncodeToString(raw)
}

// inventedToken returns a JWT of an issuer, with a signature that no key made.
func (s *anonymousClient) inventedToken(typ, issuer string) string {
	header := forge.B64(fmt.Sprintf(`{"alg":"ES256","typ":%q,"kid":%q}`, typ, rand.Text()))
	return header + "." + forge.B64(fmt.Sprintf(`{"iss":%q,"sub":"jane","jti":%q,"exp":9999999999}`, issuer, rand.Text())) + "." + forge.B64(invented()[:64])
}

// changedRequest returns the request of the shop with other parameters.
func changedRequest(changes ...string) url.Values {
	query := asked()
	for i := 0; i+1 < len(changes); i += 2 {
		query.Set(changes[i], changes[i+1])
	}
	return query
}

// limited are the statuses of requests above a limit: of devices that begin, and of unknown keys and tokens that are looked up.
var limited = []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}

// anonymousRequests are the kinds of requests, with the statuses that must occur. A kind that may be limited can also get one of limited.
var anonymousRequests = []struct {
	name    string
	want    []int
	limited bool
	request func(*anonymousClient) *http.Request
	// learn keeps what the next requests need.
	learn func(*anonymousClient, *http.Response, []byte)
}{
	{"the login page", []int{200}, false, func(s *anonymousClient) *http.Request {
		return s.get("/authorize", changedRequest("state", rand.Text()))
	}, (*anonymousClient).learnStep},
	{"an unknown client", []int{400}, false, func(s *anonymousClient) *http.Request {
		return s.get("/authorize", changedRequest("client_id", rand.Text()))
	}, nil},
	{"another redirect URI", []int{400}, false, func(s *anonymousClient) *http.Request {
		return s.get("/authorize", changedRequest("redirect_uri", "https://evil.example.com/"+rand.Text()))
	}, nil},
	{"no PKCE", []int{303}, false, func(s *anonymousClient) *http.Request {
		return s.get("/authorize", changedRequest("code_challenge", ""))
	}, nil},
	{"prompt none", []int{303}, false, func(s *anonymousClient) *http.Request { return s.get("/authorize", changedRequest("prompt", "none")) }, nil},
	{"a request by POST", []int{303}, false, func(s *anonymousClient) *http.Request { return s.post("/authorize", asked()) }, nil},
	{"a pushed request", []int{201}, false, func(s *anonymousClient) *http.Request { return s.post("/par", changedRequest("state", rand.Text())) }, nil},
	{"an invented request_uri", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.get("/authorize", url.Values{"client_id": {"shop"}, "request_uri": {oauth.RequestURIPrefix + invented()}})
	}, nil},

	{"a wrong password", []int{422, 429}, false, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/password", url.Values{"step": {s.step}, "username": {"jane"}, "password": {rand.Text()}})
	}, nil},
	{"an unknown user", []int{422}, false, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/password", url.Values{"step": {s.step}, "username": {rand.Text()}, "password": {rand.Text()}})
	}, nil},
	{"an altered step", []int{400}, false, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/password", url.Values{"step": {altered(s.step)}, "username": {"jane"}, "password": {userPassword}})
	}, nil},
	{"an invented step", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/password", url.Values{"step": {invented()}, "username": {"jane"}, "password": {userPassword}})
	}, nil},
	{"an invented consent", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/consent", url.Values{"step": {invented()}, "answer": {"allow"}})
	}, nil},
	{"the step of another page", []int{400}, false, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/consent", url.Values{"step": {s.step}, "answer": {"allow"}})
	}, nil},
	{"an unknown provider", []int{400}, false, func(s *anonymousClient) *http.Request {
		return s.post("/authorize/provider", url.Values{"step": {s.step}, "provider": {rand.Text()}})
	}, nil},
	{"an answer of a provider", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.get(s.callback, url.Values{"state": {invented()}, "code": {rand.Text()}})
	}, nil},

	{"a device", []int{200}, true, func(s *anonymousClient) *http.Request {
		return s.post("/device_authorization", url.Values{"client_id": {"tv"}})
	}, (*anonymousClient).learnDevice},
	{"the page for devices", []int{200}, false, func(s *anonymousClient) *http.Request {
		return s.get("/device", url.Values{"user_code": {"TV-BCDF-GHJK-LMNP"}, "from": {invented()}})
	}, nil},
	{"a guessed code of a device", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/device/code", url.Values{"step": {invented()}, "user_code": {"TV-BCDF-GHJK-LMNP"}})
	}, nil},
	{"an invented decision", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/device/decision", url.Values{"step": {invented()}, "answer": {"allow"}})
	}, nil},
	{"a poll", []int{400}, false, func(s *anonymousClient) *http.Request { return s.poll(s.deviceCode) }, nil},
	{"a poll with an altered code", []int{400}, true, func(s *anonymousClient) *http.Request { return s.poll(altered(s.deviceCode)) }, nil},
	{"a poll with an invented code", []int{503}, true, func(s *anonymousClient) *http.Request { return s.poll(invented()) }, nil},

	{"an invented code", []int{503}, true, func(s *anonymousClient) *http.Request { return s.post("/token", redemption(invented())) }, nil},
	{"a step as a code", []int{400}, false, func(s *anonymousClient) *http.Request { return s.post("/token", redemption(s.step)) }, nil},
	{"an invented refresh token", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/token", url.Values{"grant_type": {oauth.GrantRefreshToken}, "refresh_token": {s.inventedToken("rt+jwt", s.issuer)}})
	}, nil},
	{"an invented subject token", []int{400}, true, func(s *anonymousClient) *http.Request {
		return s.post("/token", url.Values{
			"grant_type": {oauth.GrantTokenExchange}, "subject_token": {s.inventedToken("JWT", "https://kubernetes.default.svc")},
			"subject_token_type": {oauth.TypeJWT}, "audience": {"https://orders.example.com"},
		})
	}, nil},
	{"a wrong password at the token endpoint", []int{400, 429}, false, func(s *anonymousClient) *http.Request {
		return s.post("/token", url.Values{
			"grant_type": {oauth.GrantPassword}, "username": {"joe"}, "password": {rand.Text()}, "audience": {"https://orders.example.com"},
		})
	}, nil},
	{"an invented access token", []int{401}, true, func(s *anonymousClient) *http.Request {
		return s.request(http.MethodGet, "/userinfo", nil, "Authorization", "Bearer "+s.inventedToken("at+jwt", s.issuer))
	}, nil},
	{"the sessions of others", []int{401}, true, func(s *anonymousClient) *http.Request {
		return s.request(http.MethodGet, "/sessions", nil, "Authorization", "Bearer "+s.inventedToken("at+jwt", s.issuer))
	}, nil},
	{"a revocation", []int{200}, true, func(s *anonymousClient) *http.Request {
		return s.post("/revoke", url.Values{"token": {s.inventedToken("rt+jwt", s.issuer)}})
	}, nil},
	{"an introspection", []int{401}, true, func(s *anonymousClient) *http.Request {
		return s.request(http.MethodPost, "/introspect", url.Values{"token": {"x"}},
			"Authorization", "Bearer "+s.inventedToken("JWT", "https://kubernetes.default.svc"))
	}, nil},

	{"a preflight", []int{204}, false, func(s *anonymousClient) *http.Request { return s.preflight(shopOrigin) }, nil},
	{"a preflight of another origin", []int{405}, false, func(s *anonymousClient) *http.Request { return s.preflight("https://evil.example.com") }, nil},
	{"the metadata", []int{200}, false, func(s *anonymousClient) *http.Request { return s.get("/.well-known/openid-configuration", nil) }, nil},
	{"the keys", []int{200}, false, func(s *anonymousClient) *http.Request { return s.get("/jwks.json", nil) }, nil},
	{"an unknown path", []int{404}, false, func(s *anonymousClient) *http.Request { return s.get("/"+rand.Text(), nil) }, nil},
}

func (s *anonymousClient) poll(code string) *http.Request {
	return s.post("/token", url.Values{"grant_type": {oauth.GrantDeviceCode}, "device_code": {code}, "client_id": {"tv"}})
}

func (s *anonymousClient) preflight(origin string) *http.Request {
	return s.request(http.MethodOptions, "/token", nil, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "dpop")
}

func (s *anonymousClient) learnStep(answer *http.Response, page []byte) {
	s.cookies = answer.Cookies()
	if found := stepField.FindSubmatch(page); found != nil {
		s.step = string(found[1])
	}
}

func (s *anonymousClient) learnDevice(_ *http.Response, body []byte) {
	_, rest, _ := bytes.Cut(body, []byte(`"device_code":"`))
	code, _, _ := bytes.Cut(rest, []byte(`"`))
	s.deviceCode = string(code)
}

package identity

import "strings"

// bearerScheme is the scheme of RFC 6750 §2.1.
const bearerScheme = "Bearer"

// WellFormed tells whether a text can be a token: one or more characters of the alphabet of
// token68 (RFC 9110 §11.2, b64token in RFC 6750 §2.1), with = at its end only, and no longer than
// longestToken. Whatever is sent to a TokenReview or to a verifier has to pass it: kube-apiserver
// takes the text before a space for the whole token, and no text for an anonymous request.
func WellFormed(token string) bool {
	body := strings.TrimRight(token, "=")
	return body != "" && len(token) <= longestToken && !strings.ContainsFunc(body, outsideToken68)
}

func outsideToken68(r rune) bool {
	switch {
	case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9':
		return false
	default:
		return !strings.ContainsRune("-._~+/", r)
	}
}

// Bearer reads the value of an Authorization header: the scheme Bearer, one blank, and a token.
// asked is false where the value is of another scheme, or empty: then no bearer token was tried.
// The token is empty where it is malformed.
func Bearer(header string) (token string, asked bool) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, bearerScheme) {
		return "", false
	}
	if !WellFormed(token) {
		return "", true
	}
	return token, true
}

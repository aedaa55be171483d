package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/refreshkeys/refreshkeys/test/framework/cluster"
)

const (
	// admittedWithin is far more than the API server needs: it tries to read an issuer's keys every ten seconds.
	admittedWithin = 2 * time.Minute
	pollAdmission  = 200 * time.Millisecond
	requestWithin  = 10 * time.Second
)

// admit returns when the person can sign in and the API server accepts the person. It signs the person in, has the API server trust the
// issuer, which serves by then, and asks the API server who the person is until it knows.
func (s *signIn) admit(ctx context.Context, c *cluster.Cluster, authority []byte, trust func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, admittedWithin, fmt.Errorf("the API server does not accept the user %s after %s", s.user, admittedWithin))
	defer cancel()
	session, err := s.begin(ctx, authority)
	if err != nil {
		return err
	}
	if err := trust(); err != nil {
		return err
	}
	if err := accepted(ctx, c, session.Access); err != nil {
		return err
	}
	name, err := session.object()
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "delete", "jwtrefreshkey", name, "--namespace="+peopleNamespace, "--wait=false")
	return err
}

// session holds the tokens of a sign-in.
type session struct {
	Access string `json:"access_token"`
}

// object returns the name of the session's object, which the access token contains.
func (s session) object() (string, error) {
	var claims struct {
		Key struct {
			Name string `json:"name"`
		} `json:"refreshkeys.dev"`
	}
	parts := strings.Split(s.Access, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err == nil && claims.Key.Name == "" {
		err = errors.New("it names no session")
	}
	if err != nil {
		return "", fmt.Errorf("the access token of the sign-in: %w", err)
	}
	return claims.Key.Name, nil
}

// begin signs the person in by the password. The token service refuses that until it has seen the issuer and the Secret.
func (s *signIn) begin(ctx context.Context, authority []byte) (begun session, err error) {
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	client := &http.Client{Timeout: requestWithin, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted}}}
	defer client.CloseIdleConnections()
	form := url.Values{"grant_type": {"password"}, "username": {s.user}, "password": {s.password}, "audience": {clusterAudience}}.Encode()
	var last error
	err = wait.PollUntilContextCancel(ctx, pollAdmission, true, func(ctx context.Context) (bool, error) {
		begun, last = post(ctx, client, s.issuer+"/token", form)
		return last == nil, nil
	})
	if err != nil {
		return begun, fmt.Errorf("%s cannot sign in at %s: %w: %w", s.user, s.issuer, context.Cause(ctx), last)
	}
	return begun, nil
}

// post returns the session that the answer to a form holds.
func post(ctx context.Context, client *http.Client, to, form string) (begun session, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		return begun, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(request)
	if err != nil {
		return begun, err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return begun, fmt.Errorf("the answer is %s", answer.Status)
	}
	return begun, json.NewDecoder(answer.Body).Decode(&begun)
}

// accepted returns when the API server knows the user of an access token.
func accepted(ctx context.Context, c *cluster.Cluster, access string) error {
	config := rest.AnonymousClientConfig(c.Config())
	config.BearerToken = access
	person, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, pollAdmission, true, func(ctx context.Context) (bool, error) {
		_, last = person.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), last)
	}
	return nil
}

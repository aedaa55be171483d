package commands

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/refreshkeys/refreshkeys/api/v1alpha1"
	"github.com/refreshkeys/refreshkeys/internal/endpoint"
	"github.com/refreshkeys/refreshkeys/internal/plugin/cli"
)

const (
	// managerLease is the Lease of the leading manager.
	managerLease = "refreshkeys-manager"
	// servingSecret is the Secret with the serving certificate of the token service, unless the manager has another --tls-secret.
	servingSecret = "refreshkeys-tokenserver-tls"
	// certificateSoon is the time before the end of a certificate in which it is reported.
	certificateSoon = 7 * 24 * time.Hour
	// answerTimeout limits a request of a check.
	answerTimeout = 5 * time.Second
)

// operatorCA returns the certificate authority of the token service, from the operator's namespace; nil if it cannot be read.
func (i *installation) operatorCA() []byte {
	if i.unserving != nil {
		return nil
	}
	return i.serving.Data["ca.crt"]
}

// futureURL checks the name of an issuer that does not exist yet, and whether its host accepts connections from here.
func (i *installation) futureURL(ctx context.Context) {
	at, err := url.Parse(i.url)
	if err != nil || at.Scheme != "https" || at.Host == "" {
		i.add(reject("DNS", "--url %q is no https URL of an issuer, such as https://tokens.example.com", i.url))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, at.Hostname())
	switch {
	case err != nil && inCluster(at.Hostname()):
		i.add(unsure("DNS", fmt.Errorf("%s is a name of the cluster, which does not resolve here", at.Hostname())))
		return
	case err != nil:
		i.add(reject("DNS", "%v: clients need this name", err))
		return
	}
	i.add(pass("DNS", "%s resolves to %s", at.Hostname(), strings.Join(addresses, ", ")))
	port := at.Port()
	if port == "" {
		port = "443"
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		i.add(unsure("endpoint", fmt.Errorf("nothing accepts connections yet: %w", err)))
		return
	}
	_ = connection.Close()
	i.add(pass("endpoint", "%s accepts connections from here", i.url))
}

// inCluster reports whether only the DNS of a cluster resolves a name.
func inCluster(host string) bool {
	return !strings.Contains(host, ".") && host != "localhost" || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")
}

// manager checks that a manager leads.
func (i *installation) manager(ctx context.Context) {
	lease, err := i.clients.CoordinationV1().Leases(i.replicas.namespace).Get(ctx, managerLease, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		i.add(reject("manager", "no manager runs: namespace %s has no Lease %s; is --operator-namespace right?", i.replicas.namespace, managerLease))
	case err != nil:
		i.add(unsure("manager", err))
	default:
		i.add(judgeLease(lease, i.Clock.Now().Add(i.offset)))
	}
}

// judgeLease judges the Lease of the manager. The time is that of the cluster.
func judgeLease(lease *coordinationv1.Lease, now time.Time) check {
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if holder == "" || lease.Spec.RenewTime == nil {
		return reject("manager", "no manager runs: the last one gave up the Lease %s", managerLease)
	}
	renewed := lease.Spec.RenewTime.Time
	// A lease that was not renewed for its duration has ended. The clock of the node that writes it may differ.
	ended := renewed.Add(time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 15)) * time.Second)
	if now.After(ended.Add(closeClocks)) {
		return reject("manager", "no manager runs: %s renewed the Lease last %s", holder, cli.Stamp(renewed, now))
	}
	return pass("manager", "%s leads", holder)
}

// issuers checks the issuers, and the replicas that serve them.
func (i *installation) issuers(ctx context.Context) {
	var list v1alpha1.JWTIssuerList
	if err := i.List(ctx, &list); err != nil {
		i.add(unsure("issuers", err))
		return
	}
	if len(list.Items) == 0 {
		i.add(unsure("issuers", errors.New("there is no JWTIssuer yet, which names the URL of the token service")))
		return
	}
	i.service(ctx, &list.Items[0])
	for n := range list.Items {
		issuer := &list.Items[n]
		i.add(judgeIssuer(issuer))
		i.endpoint(ctx, issuer)
	}
}

// judgeIssuer judges the condition Ready of an issuer.
func judgeIssuer(issuer *v1alpha1.JWTIssuer) check {
	name := "issuer " + issuer.Name
	ready := meta.FindStatusCondition(issuer.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return reject(name, "no manager has processed it")
	case ready.Status != metav1.ConditionTrue:
		return reject(name, "%s: %s", ready.Reason, ready.Message)
	default:
		return pass(name, "%s, %s", ready.Reason, issuer.Spec.URL)
	}
}

// service checks each replica of the token service, by the key set of one issuer, and their clocks.
func (i *installation) service(ctx context.Context, issuer *v1alpha1.JWTIssuer) {
	all, err := i.cluster.replicas(ctx, &i.replicas, issuer.Spec.URL, endpoint.JWKSURL, i.direct, i.api)
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		i.add(unsure("token service", err))
		return
	}
	if err != nil {
		i.add(reject("token service", "no replica runs: %v", err))
		return
	}
	var wrong []string
	clock := check{}
	for n := range all {
		answer, err := i.fetch(ctx, all[n].client, all[n].url, all[n].host)
		if err != nil {
			wrong = append(wrong, all[n].name+": "+err.Error())
			continue
		}
		if one := judgeClock("clock of the token service", answer.date, answer.began, answer.took); clock.Name == "" || one.Verdict != passed {
			clock = one
		}
	}
	switch {
	case len(wrong) > 0:
		i.add(reject("token service", "%d of %d replicas do not answer: %s", len(wrong), len(all), strings.Join(wrong, "; ")))
	case len(all) == 1:
		i.add(pass("token service", "1 replica answers"))
	default:
		i.add(pass("token service", "%d replicas answer", len(all)))
	}
	if clock.Name != "" {
		i.add(clock)
	}
}

// answer is what an answer with a key set says.
type answer struct {
	keys        int
	date        string
	began       time.Time
	took        time.Duration
	certificate *x509.Certificate
}

// fetch reads a key set.
func (i *installation) fetch(ctx context.Context, client *http.Client, at, host string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Host = host
	a := &answer{began: i.Clock.Now()}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	a.took, a.date = i.Clock.Since(a.began), response.Header.Get("Date")
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		a.certificate = response.TLS.PeerCertificates[0]
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	set := jose.JSONWebKeySet{}
	if err != nil || response.StatusCode != http.StatusOK || json.Unmarshal(raw, &set) != nil {
		return nil, fmt.Errorf("answered %s, without signing keys", response.Status)
	}
	a.keys = len(set.Keys)
	return a, nil
}

// endpoint checks that the URL of an issuer can be reached from here, and until when its certificate is valid.
func (i *installation) endpoint(ctx context.Context, issuer *v1alpha1.JWTIssuer) {
	name := "endpoint of " + issuer.Name
	answer, err := i.fetch(ctx, i.direct, endpoint.JWKSURL(issuer.Spec.URL), "")
	if err != nil {
		i.add(judgeUnreachable(name, issuer.Spec.URL, err))
		i.storedCertificate(issuer)
		return
	}
	i.add(pass(name, "%s publishes %d signing keys", issuer.Spec.URL, answer.keys))
	if answer.certificate != nil {
		i.add(judgeCertificate("certificate of "+issuer.Name, answer.certificate.NotAfter, i.Clock.Now()))
	}
}

// judgeUnreachable judges an issuer's URL that does not answer here.
func judgeUnreachable(name, at string, err error) check {
	var unknownAuthority x509.UnknownAuthorityError
	var notFound *net.DNSError
	host := at
	if parsed, err := url.Parse(at); err == nil {
		host = parsed.Hostname()
	}
	switch {
	case errors.As(err, &unknownAuthority):
		return reject(name, "%v: if a private authority signs it, set --ca-file", err)
	case errors.As(err, &notFound) && inCluster(host):
		return unsure(name, fmt.Errorf("%s is a name of the cluster, which does not resolve here", host))
	default:
		return reject(name, "it cannot be reached from here: %v", err)
	}
}

// storedCertificate checks the certificate in the operator's namespace, for an issuer that cannot be reached from here.
func (i *installation) storedCertificate(issuer *v1alpha1.JWTIssuer) {
	name := "certificate of " + issuer.Name
	if i.unserving != nil {
		i.add(unsure(name, i.unserving))
		return
	}
	block, _ := pem.Decode(i.serving.Data["tls.crt"])
	if block == nil {
		i.add(reject(name, "Secret %s holds no certificate", servingSecret))
		return
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		i.add(reject(name, "Secret %s: %v", servingSecret, err))
		return
	}
	if at, err := url.Parse(issuer.Spec.URL); err == nil && certificate.VerifyHostname(at.Hostname()) != nil {
		i.add(unsure(name, fmt.Errorf("the certificate in Secret %s is not for %s, so another one serves it", servingSecret, at.Hostname())))
		return
	}
	i.add(judgeCertificate(name, certificate.NotAfter, i.Clock.Now()))
}

// judgeCertificate judges the end of a serving certificate.
func judgeCertificate(name string, end, now time.Time) check {
	switch left := end.Sub(now); {
	case left <= 0:
		return reject(name, "ended %s", cli.Stamp(end, now))
	case left < certificateSoon:
		return unsure(name, fmt.Errorf("ends %s; whether it is renewed before cannot be seen", cli.Stamp(end, now)))
	default:
		return pass(name, "ends %s", cli.Stamp(end, now))
	}
}
